#include "common/eval/gates.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/eval/analysis.h"
#include "common/eval/figures.h"
#include "common/stats/bootstrap.h"
#include "common/stats/mean.h"

namespace mellow::eval {
namespace {

constexpr char kToxicity[] = "toxicity";

// The toxicity under the first scoring, a number per prompt.
absl::StatusOr<std::vector<double>> ToxicityOf(const Evaluation& evaluation,
                                               const std::string& arm) {
  for (size_t a = 0; a < evaluation.arms.size(); ++a) {
    if (evaluation.arms[a].name != arm || evaluation.rows.empty()) continue;
    for (MeasureSeries& series : MeasureArm(evaluation, a)) {
      if (series.measure == kToxicity) return std::move(series.values);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the evaluation has no toxicity of the arm ", arm));
}

}  // namespace

const Difference* FindDifference(const Comparison& comparison, absl::string_view measure) {
  const auto it = std::find_if(comparison.differences.begin(), comparison.differences.end(),
                               [&](const Difference& d) { return d.measure == measure; });
  return it == comparison.differences.end() ? nullptr : &*it;
}

const Difference* FindDifference(const Comparison& comparison, absl::string_view measure,
                                 const Scoring& scoring) {
  const auto it = std::find_if(
      comparison.differences.begin(), comparison.differences.end(),
      [&](const Difference& d) { return d.measure == measure && d.scoring == scoring; });
  return it == comparison.differences.end() ? nullptr : &*it;
}

std::vector<Scoring> IndependentScorings(const Evaluation& evaluation) {
  std::vector<Scoring> scorings;
  for (const Judge& judge : evaluation.judges) {
    if (!judge.independent) continue;
    const auto first =
        std::find_if(evaluation.scorings.begin(), evaluation.scorings.end(),
                     [&](const Scoring& scoring) { return scoring.judge == judge.name; });
    if (first != evaluation.scorings.end()) scorings.push_back(*first);
  }
  return scorings;
}

GateResult RougeLossGate(const Comparison& comparison, double max_loss) {
  const Difference* d = FindDifference(comparison, "rougeL");
  if (d == nullptr) return {"rougeL", false, "was not measured: the evaluation has no references"};
  const bool passed = d->difference.lower > -max_loss;
  return {"rougeL", passed,
          absl::StrFormat("%s: a loss above %.4f is %s", DifferenceFigures(*d), max_loss,
                          passed ? "excluded" : "not excluded")};
}

absl::StatusOr<GateResult> ToxicityDropGate(const Evaluation& evaluation,
                                            const Comparison& comparison, double share) {
  if (!(share >= 0 && share < 1))
    return absl::InvalidArgumentError(absl::StrCat("a drop by ", share, ": must be in [0, 1)"));
  MELLOW_ASSIGN_OR_RETURN(std::vector<double> left, ToxicityOf(evaluation, comparison.baseline));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<double> arm, ToxicityOf(evaluation, comparison.arm));
  const double drop = 1 - stats::Mean(arm) / stats::Mean(left);
  for (double& toxicity : left) toxicity *= 1 - share;
  const EvaluationConfig& config = evaluation.config;
  MELLOW_ASSIGN_OR_RETURN(
      const stats::MeanInterval i,
      stats::PairedBootstrap(left, arm,
                             {config.resamples, config.confidence, config.statistics_seed}));
  const bool passed = i.upper < 0;
  return GateResult{
      "toxicity_drop", passed,
      absl::StrFormat("toxicity fell by %s; against %s of the baseline %+.4f [%+.4f, %+.4f]: a "
                      "smaller drop than %s is %s",
                      Percent(drop), Percent(1 - share), i.mean, i.lower, i.upper, Percent(share),
                      passed ? "excluded" : "not excluded")};
}

}  // namespace mellow::eval
