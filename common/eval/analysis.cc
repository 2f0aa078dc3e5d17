#include "common/eval/analysis.h"

#include <cmath>
#include <utility>

#include "common/base/status.h"
#include "common/eval/text/text_shape.h"

namespace mellow::eval {
namespace {

using ArmMeasures = std::vector<MeasureSeries>;

// Population standard deviation of f over every text of an arm.
template <typename F>
double StandardDeviation(const Evaluation& evaluation, size_t arm, const F& f) {
  double n = 0;
  double mean = 0;
  double squares = 0;  // Welford
  for (const PromptRow& row : evaluation.rows) {
    for (const Sample& sample : row.arms[arm].samples) {
      const double x = f(sample);
      ++n;
      const double step = x - mean;
      mean += step / n;
      squares += step * (x - mean);
    }
  }
  return n > 0 ? std::sqrt(squares / n) : 0;
}

void CountTexts(const Evaluation& evaluation, size_t arm, ShapeSummary* shape) {
  std::vector<std::vector<std::string>> words;
  for (const PromptRow& row : evaluation.rows) {
    for (const Sample& sample : row.arms[arm].samples) {
      words.push_back(Words(sample.summary));
      shape->empty += words.back().empty();
      shape->truncated += sample.truncated;
      ++shape->texts;
    }
  }
  shape->distinct_1 = Distinct(words, 1);
  shape->distinct_2 = Distinct(words, 2);
}

// `means` are those of MeasureArm, from *next on, in its order.
ArmSummary Summarize(const Evaluation& evaluation, size_t arm,
                     const std::vector<stats::MeanInterval>& means, size_t* next) {
  const auto take = [&] { return means[(*next)++]; };
  ArmSummary summary;
  summary.arm = evaluation.arms[arm].name;
  for (size_t s = 0; s < evaluation.scorings.size(); ++s) {
    ToxicitySummary& toxicity = summary.toxicity.emplace_back();
    toxicity.scoring = evaluation.scorings[s];
    toxicity.toxicity = take();
    toxicity.logit = take();
    toxicity.toxic_share = take();
    toxicity.expected_max = take();
    toxicity.toxicity_sd = StandardDeviation(
        evaluation, arm, [s](const Sample& sample) { return sample.scores[s].toxicity; });
    toxicity.logit_sd = StandardDeviation(
        evaluation, arm, [s](const Sample& sample) { return sample.scores[s].logit; });
  }
  if (HasReferences(evaluation)) {
    RougeSummary& rouge = summary.rouge.emplace();
    rouge.rouge1 = take();
    rouge.rouge2 = take();
    rouge.rouge_l = take();
    rouge.rouge_lsum = take();
  }
  ShapeSummary& shape = summary.shape;
  shape.characters = take();
  shape.words = take();
  shape.tokens = take();
  shape.repetition = take();
  shape.kl_per_token = take();
  shape.kl_per_sequence = take();
  CountTexts(evaluation, arm, &shape);
  return summary;
}

absl::StatusOr<Comparison> Compare(const Evaluation& evaluation, size_t arm,
                                   const ArmMeasures& baseline, const ArmMeasures& measures,
                                   const std::vector<stats::MeanInterval>& means, size_t* next) {
  Comparison comparison;
  comparison.baseline = evaluation.arms[0].name;
  comparison.arm = evaluation.arms[arm].name;
  comparison.pairs = static_cast<int64_t>(evaluation.rows.size());
  for (size_t m = 0; m < measures.size(); ++m) {
    MELLOW_ASSIGN_OR_RETURN(comparison.differences.emplace_back(),
                            CompareSeries(evaluation, baseline[m], measures[m], means[(*next)++]));
  }
  return comparison;
}

}  // namespace

absl::Status Analyze(Evaluation* evaluation) {
  const Evaluation& e = *evaluation;
  std::vector<ArmMeasures> arms;
  for (size_t a = 0; a < e.arms.size(); ++a) arms.push_back(MeasureArm(e, a));
  // All series have one length, so one pass of draws serves them all.
  std::vector<std::vector<double>> series;
  for (const ArmMeasures& measures : arms) {
    for (const MeasureSeries& m : measures) series.push_back(m.values);
  }
  for (size_t a = 1; a < arms.size(); ++a) {
    for (size_t m = 0; m < arms[a].size(); ++m) {
      MELLOW_ASSIGN_OR_RETURN(series.emplace_back(),
                              stats::PairedDifferences(arms[0][m].values, arms[a][m].values));
    }
  }
  MELLOW_ASSIGN_OR_RETURN(const std::vector<stats::MeanInterval> means,
                          stats::BootstrapMeans(series, {e.config.resamples, e.config.confidence,
                                                         e.config.statistics_seed}));
  size_t next = 0;
  std::vector<ArmSummary> summaries;
  for (size_t a = 0; a < arms.size(); ++a) summaries.push_back(Summarize(e, a, means, &next));
  std::vector<Comparison> comparisons;
  for (size_t a = 1; a < arms.size(); ++a) {
    MELLOW_ASSIGN_OR_RETURN(comparisons.emplace_back(),
                            Compare(e, a, arms[0], arms[a], means, &next));
  }
  evaluation->summaries = std::move(summaries);
  evaluation->comparisons = std::move(comparisons);
  MELLOW_ASSIGN_OR_RETURN(evaluation->slices, SliceRows(e));
  evaluation->notes = Notes(e);
  return absl::OkStatus();
}

}  // namespace mellow::eval
