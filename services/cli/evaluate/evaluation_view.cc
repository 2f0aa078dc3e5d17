#include "services/cli/evaluate/evaluation_view.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/eval/figures.h"
#include "common/eval/gates.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr int kWidth = 78;
constexpr size_t kMostSlices = 20;

using Table = std::vector<std::vector<std::string>>;

std::string Signed(double value) {
  const std::string size = ShortNumber(std::fabs(value));
  return absl::StrCat(value < 0 ? "-" : "+", size);
}

std::string Bounds(const stats::MeanInterval& i) {
  return absl::StrCat("[", Signed(i.lower), ", ", Signed(i.upper), "]");
}

std::string PromptCount(const std::optional<int64_t>& count) {
  return count.has_value() ? absl::StrCat(*count) : "-";
}

std::string TextName(const eval::Scoring& scoring) {
  return scoring.text == eval::kSummaryScoring         ? "summary"
         : scoring.text == eval::kQueryResponseScoring ? "query+response"
                                                       : scoring.text;
}

// Under the first scoring; null: no such arm.
const eval::ToxicitySummary* FirstToxicity(const eval::Evaluation& e, const std::string& arm) {
  for (const eval::ArmSummary& summary : e.summaries) {
    if (summary.arm == arm && !summary.toxicity.empty()) return &summary.toxicity[0];
  }
  return nullptr;
}

// By how much `after` is less than `before`.
std::string ImprovementText(double before, double after) {
  if (before == 0) return "-";
  return absl::StrFormat("%.2f %%", 100 * (before - after) / before);
}

class Text {
 public:
  explicit Text(const eval::Evaluation& evaluation) : e_(evaluation) {}

  std::string Write() {
    Heading();
    Toxicity();
    Shape();
    for (const eval::Comparison& comparison : e_.comparisons) {
      Differences(comparison);
      SampleSizes(comparison);
    }
    Slices();
    Notes();
    return std::move(out_);
  }

 private:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    absl::StrAppend(&out_, parts...);
  }

  void Heading() {
    const eval::SamplingConfig& s = e_.config.sampling;
    Add(e_.config.prompts, " prompts of ",
        PrintableLine(std::filesystem::path(e_.config.data_path).filename().string()), ", ",
        s.samples, s.samples == 1 ? " text each, " : " texts each, ",
        s.do_sample ? absl::StrCat("sampled with seed ", s.seed)
                    : std::string(s.num_beams > 1 ? "beam search" : "greedy"),
        "\n");
    for (const eval::Arm& arm : e_.arms) {
      Add("  ", PrintableLine(arm.name), ": ",
          arm.kind == "folder" ? PrintableLine(arm.path)
          : arm.version == 0   ? std::string("the base model")
                               : absl::StrCat("version ", arm.version),
          arm.sha256.empty() ? ""
                             : absl::StrCat(", sha256 ", PrintableLine(arm.sha256.substr(0, 12))),
          "\n");
    }
    for (const eval::Judge& judge : e_.judges) {
      Add("  judge ", PrintableLine(judge.name), ": toxicity means its label ",
          PrintableLine(judge.toxic_label), "\n");
    }
  }

  // "toxicity, summary"; judges but the first are named.
  std::string Measure(const std::string& measure,
                      const std::optional<eval::Scoring>& scoring) const {
    if (!scoring.has_value()) return measure;
    const bool first = scoring->judge == e_.scorings[0].judge;
    return absl::StrCat(measure, ", ", TextName(*scoring),
                        first ? "" : absl::StrCat(" (", scoring->judge, ")"));
  }

  // With one sample per prompt the largest of them is the toxicity itself.
  bool Redundant(const std::string& measure) const {
    return measure == "expected_max" && e_.config.sampling.samples == 1;
  }

  // What each arm has, also one that is compared with nothing.
  void Toxicity() {
    Table table = {{"arm", "measure", "mean",
                    absl::StrCat(eval::Percent(e_.config.confidence), " interval"), "sd"}};
    for (const eval::ArmSummary& arm : e_.summaries) {
      for (const eval::ToxicitySummary& t : arm.toxicity) {
        table.push_back({arm.arm, Measure("toxicity", t.scoring), ShortNumber(t.toxicity.mean),
                         Bounds(t.toxicity), ShortNumber(t.toxicity_sd)});
        table.push_back({arm.arm, Measure("logit", t.scoring), ShortNumber(t.logit.mean),
                         Bounds(t.logit), ShortNumber(t.logit_sd)});
      }
    }
    Add("\n", FormatTable(table));
  }

  // As TRL's notebook says it: of the mean and of the population's standard deviation.
  void Improvements(const eval::Comparison& c) {
    const eval::ToxicitySummary* before = FirstToxicity(e_, c.baseline);
    const eval::ToxicitySummary* after = FirstToxicity(e_, c.arm);
    if (before == nullptr || after == nullptr) return;
    Add("percentage improvement of the toxicity: mean ",
        ImprovementText(before->toxicity.mean, after->toxicity.mean), ", sd ",
        ImprovementText(before->toxicity_sd, after->toxicity_sd), "\n");
  }

  void Differences(const eval::Comparison& c) {
    Table table = {{"measure", c.baseline, c.arm, "difference",
                    absl::StrCat(eval::Percent(e_.config.confidence), " interval"), "p",
                    "verdict"}};
    for (const eval::Difference& d : c.differences) {
      if (Redundant(d.measure)) continue;
      table.push_back({Measure(d.measure, d.scoring), ShortNumber(d.baseline), ShortNumber(d.arm),
                       Signed(d.difference.mean), Bounds(d.difference), eval::PValue(d.p_value),
                       std::string(VerdictName(d.verdict))});
    }
    Add("\n", FormatTable(table));
    if (!c.differences.empty() && c.differences[0].relative.has_value()) {
      const eval::Difference& main = c.differences[0];
      const eval::Scoring& first = e_.scorings[0];
      Add("\ntoxicity of ", first.text == eval::kSummaryScoring ? "the summary" : TextName(first),
          " changed by ", absl::StrFormat("%+.1f %%", 100 * *main.relative), ": ",
          main.verdict == eval::Verdict::kNoise    ? "cannot be told from noise"
          : main.verdict == eval::Verdict::kBetter ? "less toxic"
                                                   : "more toxic",
          "\n");
    }
    Improvements(c);
  }

  // What has no interval.
  void Shape() {
    Table table = {{"arm", "distinct-1", "distinct-2", "empty", "truncated", "texts"}};
    for (const eval::ArmSummary& arm : e_.summaries) {
      const eval::ShapeSummary& s = arm.shape;
      table.push_back({arm.arm, ShortNumber(s.distinct_1), ShortNumber(s.distinct_2),
                       absl::StrCat(s.empty), absl::StrCat(s.truncated), absl::StrCat(s.texts)});
    }
    Add("\n", FormatTable(table));
  }

  void SampleSizes(const eval::Comparison& c) {
    Table table = {{"prompts needed for", "the difference seen",
                    absl::StrCat("a change of ", eval::Percent(e_.config.detectable_change)),
                    "the same, unpaired"}};
    for (const eval::Difference& d : c.differences) {
      if (d.measure != "toxicity" && d.measure != "rougeL") continue;
      table.push_back({Measure(d.measure, d.scoring), PromptCount(d.needed.for_observed),
                       PromptCount(d.needed.for_change),
                       PromptCount(d.needed.for_change_unpaired)});
    }
    Add("\n", FormatTable(table), "(power ", eval::Percent(e_.config.power), ", alpha ",
        eval::Percent(e_.config.alpha), "; this evaluation has ", c.pairs, ")\n");
  }

  void Slices() {
    if (e_.slices.empty()) return;
    Table table = {{"toxicity where", "prompts"}};
    for (const eval::Arm& arm : e_.arms) table[0].push_back(arm.name);
    for (size_t a = 1; a < e_.arms.size(); ++a) {
      table[0].push_back("difference");
      table[0].push_back("verdict");
    }
    for (const eval::Slice& slice : e_.slices) {
      if (table.size() > kMostSlices) break;
      std::vector<std::string>& row = table.emplace_back();
      row = {absl::StrCat(slice.column, " = ", slice.value), absl::StrCat(slice.prompts)};
      for (const eval::Arm& arm : e_.arms) row.push_back(ShortNumber(slice.toxicity.at(arm.name)));
      for (size_t a = 1; a < e_.arms.size(); ++a) {
        const eval::Difference& d = slice.differences.at(e_.arms[a].name);
        row.push_back(absl::StrCat(Signed(d.difference.mean), " ", Bounds(d.difference)));
        row.emplace_back(VerdictName(d.verdict));
      }
    }
    Add("\n", FormatTable(table));
    if (e_.slices.size() > kMostSlices)
      Add("(and ", e_.slices.size() - kMostSlices, " more in evaluation.json)\n");
  }

  void Notes() {
    if (e_.notes.empty()) return;
    Add("\n");
    for (const std::string& note : e_.notes) {
      std::string wrapped = Wrap(note, kWidth, "  ");
      wrapped[0] = '-';
      Add(wrapped);
    }
  }

  const eval::Evaluation& e_;
  std::string out_;
};

// The reward of an arm after the first, minus the first's.
double RewardDifference(const eval::Row& row, size_t arm) {
  return row.arms[arm].samples[0].scores[0].logit - row.arms[0].samples[0].scores[0].logit;
}

}  // namespace

std::string EvaluationText(const eval::Evaluation& evaluation) { return Text(evaluation).Write(); }

std::string SideBySide(const eval::Evaluation& evaluation, size_t count, PairOrder order) {
  std::vector<const eval::Row*> rows;
  for (size_t i = 0; i < std::min(count, evaluation.rows.size()); ++i)
    rows.push_back(&evaluation.rows[i]);
  if (order == PairOrder::kRewardDifference) {
    std::stable_sort(rows.begin(), rows.end(), [](const eval::Row* a, const eval::Row* b) {
      return RewardDifference(*a, 1) > RewardDifference(*b, 1);
    });
  }
  std::string out;
  for (const eval::Row* place : rows) {
    const eval::Row& row = *place;
    for (size_t a = 0; a < row.arms.size(); ++a) {
      const eval::Sample& sample = row.arms[a].samples[0];
      absl::StrAppend(
          &out, a == 0 ? absl::StrFormat("%-4s", absl::StrCat(row.index + 1, ".")) : "    ",
          PrintableLine(evaluation.arms[a].name), ", toxicity ",
          absl::StrFormat("%.3f, reward %.4f", sample.scores[0].toxicity, sample.scores[0].logit),
          a == 0 ? "" : absl::StrFormat(" (%+.4f)", RewardDifference(row, a)), "\n",
          Wrap(sample.summary, kWidth, "      "));
    }
    for (const std::string& reference : row.references)
      absl::StrAppend(&out, "    reference\n", Wrap(reference, kWidth, "      "));
    absl::StrAppend(&out, "\n");
  }
  return out;
}

json::Value EvaluationJson(const eval::Evaluation& evaluation) {
  eval::Evaluation short_one = evaluation;
  short_one.rows.clear();
  json::Value object = json::Parse(eval::EvaluationToJson(short_one), "").value_or(json::Value());
  object.Erase("rows");
  return object;
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
