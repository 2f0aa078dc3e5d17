#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/eval/analysis.h"
#include "common/stats/mean.h"
#include "common/stats/permutation_test.h"
#include "common/stats/sample_size.h"

namespace mellow::eval {
namespace {

// The sd of the population that the values are a sample of; NaN for one value.
double SampleSd(const std::vector<double>& values) {
  const double mean = stats::Mean(values);
  double squares = 0;
  for (const double x : values) squares += (x - mean) * (x - mean);
  return std::sqrt(squares / (static_cast<double>(values.size()) - 1));
}

// No test works with fewer than two prompts.
std::optional<int64_t> Prompts(const std::optional<double>& size) {
  constexpr double kMost = 9e15;
  if (!size.has_value() || *size > kMost) return std::nullopt;
  return std::max<int64_t>(2, static_cast<int64_t>(std::ceil(*size)));
}

SampleSize NeededPrompts(const EvaluationConfig& config, const std::vector<double>& baseline,
                         const std::vector<double>& arm, const std::vector<double>& differences) {
  const stats::TestPower test = {config.alpha, config.power};
  const double change = config.detectable_change * std::fabs(stats::Mean(baseline));
  SampleSize needed;
  needed.for_change_unpaired =
      Prompts(stats::UnpairedSampleSize(SampleSd(baseline), SampleSd(arm), change, test));
  const bool equal = std::all_of(differences.begin(), differences.end(),
                                 [](double difference) { return difference == 0; });
  if (equal) return needed;
  const double sd = SampleSd(differences);
  needed.for_observed = Prompts(stats::PairedSampleSize(sd, stats::Mean(differences), test));
  needed.for_change = Prompts(stats::PairedSampleSize(sd, change, test));
  return needed;
}

Verdict VerdictOf(const EvaluationConfig& config, Direction direction, const Difference& d) {
  const stats::MeanInterval& i = d.difference;
  if ((i.lower <= 0 && i.upper >= 0) || !(d.p_value < config.alpha)) return Verdict::kNoise;
  if (direction == Direction::kNeither) return Verdict::kChanged;
  return (i.mean < 0) == (direction == Direction::kLowerIsBetter) ? Verdict::kBetter
                                                                  : Verdict::kWorse;
}

absl::Status CheckTest(const EvaluationConfig& config) {
  for (const auto& [name, value] : {std::pair("alpha", config.alpha), {"power", config.power}}) {
    if (!(value > 0 && value < 1))
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is ", value, ", must be between 0 and 1"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Difference> CompareSeries(const Evaluation& evaluation,
                                         const MeasureSeries& baseline, const MeasureSeries& arm,
                                         const stats::MeanInterval& difference) {
  const EvaluationConfig& config = evaluation.config;
  MELLOW_RETURN_IF_ERROR(CheckTest(config));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<double> differences,
                          stats::PairedDifferences(baseline.values, arm.values));
  Difference d;
  d.measure = arm.measure;
  if (arm.scoring.has_value()) d.scoring = evaluation.scorings[*arm.scoring];
  d.baseline = stats::Mean(baseline.values);
  d.arm = stats::Mean(arm.values);
  d.difference = difference;
  if (d.baseline != 0) d.relative = difference.mean / std::fabs(d.baseline);
  MELLOW_ASSIGN_OR_RETURN(
      d.p_value,
      stats::PairedPermutationTest(differences, {config.permutations, config.statistics_seed}));
  d.verdict = VerdictOf(config, arm.direction, d);
  d.needed = NeededPrompts(config, baseline.values, arm.values, differences);
  return d;
}

std::vector<const Difference*> Disagreements(const Comparison& comparison) {
  const Difference* first = nullptr;
  std::vector<const Difference*> disagreements;
  for (const Difference& d : comparison.differences) {
    if (d.measure != "toxicity" || !d.scoring.has_value()) continue;
    if (first == nullptr) {
      first = &d;
      if (d.verdict != Verdict::kBetter) break;
    }
    if (d.scoring->text == first->scoring->text && d.scoring->judge != first->scoring->judge &&
        d.verdict != Verdict::kBetter)
      disagreements.push_back(&d);
  }
  return disagreements;
}

}  // namespace mellow::eval
