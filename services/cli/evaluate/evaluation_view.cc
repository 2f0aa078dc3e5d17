#include "services/cli/evaluate/evaluation_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/eval/gates.h"
#include "common/report/sections.h"
#include "services/cli/evaluate/document_text.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr int kSampleWidth = 78;
// The reward of an arm after the first, minus the first's.
double RewardDifference(const eval::PromptRow& row, size_t arm) {
  return row.arms[arm].samples[0].scores[0].logit - row.arms[0].samples[0].scores[0].logit;
}

}  // namespace

std::string EvaluationText(const eval::Evaluation& evaluation) {
  return DocumentText(report::EvaluationBlocks(evaluation));
}

std::string SideBySide(const eval::Evaluation& evaluation, size_t count, PairOrder order) {
  std::vector<const eval::PromptRow*> rows;
  for (size_t i = 0; i < std::min(count, evaluation.rows.size()); ++i)
    rows.push_back(&evaluation.rows[i]);
  if (order == PairOrder::kRewardDifference) {
    std::stable_sort(rows.begin(), rows.end(),
                     [](const eval::PromptRow* a, const eval::PromptRow* b) {
                       return RewardDifference(*a, 1) > RewardDifference(*b, 1);
                     });
  }
  std::string out;
  for (const eval::PromptRow* place : rows) {
    const eval::PromptRow& row = *place;
    for (size_t a = 0; a < row.arms.size(); ++a) {
      const eval::Sample& sample = row.arms[a].samples[0];
      absl::StrAppend(
          &out, a == 0 ? absl::StrFormat("%-4s", absl::StrCat(row.index + 1, ".")) : "    ",
          PrintableLine(evaluation.arms[a].name), ", toxicity ",
          absl::StrFormat("%.3f, reward %.4f", sample.scores[0].toxicity, sample.scores[0].logit),
          a == 0 ? "" : absl::StrFormat(" (%+.4f)", RewardDifference(row, a)), "\n",
          Wrap(sample.summary, kSampleWidth, "      "));
    }
    for (const std::string& reference : row.references)
      absl::StrAppend(&out, "    reference\n", Wrap(reference, kSampleWidth, "      "));
    absl::StrAppend(&out, "\n");
  }
  return out;
}

absl::StatusOr<std::vector<DemandResult>> CheckDemands(const eval::Evaluation& evaluation,
                                                       const Demands& demands) {
  if (evaluation.comparisons.empty() &&
      (demands.require_drop.has_value() || demands.max_rouge_loss.has_value())) {
    return absl::InvalidArgumentError(
        absl::StrCat(demands.require_drop.has_value() ? "--require-drop" : "--max-rouge-loss",
                     ": one arm alone is compared with nothing"));
  }
  std::vector<DemandResult> results;
  const auto add = [&](const std::string& arm, const eval::GateResult& gate) {
    results.push_back({absl::StrCat(arm, ": ", gate.name, ": ", gate.detail, ": ",
                                    gate.passed ? "holds" : "DOES NOT HOLD"),
                       gate.passed});
  };
  for (const eval::Comparison& c : evaluation.comparisons) {
    if (demands.require_drop.has_value()) {
      const absl::StatusOr<eval::GateResult> gate =
          eval::ToxicityDropGate(evaluation, c, *demands.require_drop);
      if (!gate.ok()) return Annotate(gate.status(), "--require-drop");
      add(c.arm, *gate);
    }
    if (!demands.max_rouge_loss.has_value()) continue;
    if (eval::FindDifference(c, "rougeL") == nullptr)
      return absl::InvalidArgumentError("--max-rouge-loss: the data has no references");
    add(c.arm, eval::RougeLossGate(c, *demands.max_rouge_loss));
  }
  return results;
}

}  // namespace mellow::cli
