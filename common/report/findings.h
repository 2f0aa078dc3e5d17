#ifndef MELLOW_COMMON_REPORT_FINDINGS_H_
#define MELLOW_COMMON_REPORT_FINDINGS_H_

// What an evaluation says, worked out once for all of a report's formats.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/eval/evaluation.h"
#include "common/report/charts.h"

namespace mellow::report {

// One arm against the baseline, in plain words.
struct ArmVerdict {
  std::string baseline;
  std::string arm;
  std::optional<eval::Verdict> toxicity;  // absent: nothing was scored
  std::optional<eval::Verdict> rouge_l;   // absent: no references
  std::string sentence;
};

// One prompt's mean P(toxic) under the first scoring, before and after.
struct PairedChange {
  std::string baseline;
  std::string arm;
  std::vector<double> before;
  std::vector<double> after;
  // Prompts whose mean fell or rose by more than kSameToxicity, and the others.
  int64_t lower = 0;
  int64_t higher = 0;
  int64_t same = 0;
};
inline constexpr double kSameToxicity = 0.01;

// One measure of every text, by arm, in the same bins.
struct Distribution {
  Bins bins;
  std::vector<HistogramPanel> panels;  // as Evaluation::arms
};

struct Findings {
  std::vector<ArmVerdict> verdicts;   // as Evaluation::comparisons
  std::vector<std::string> warnings;  // where the reward may have been gamed
  Distribution toxicity;              // of the first scoring
  Distribution tokens;
  std::vector<PairedChange> changes;  // as Evaluation::comparisons; empty when nothing was scored
};

[[nodiscard]] Findings ComputeFindings(const eval::Evaluation& evaluation);

// The difference of `measure`; of the first scoring for those that are scored. Null: not there.
[[nodiscard]] const eval::Difference* FindDifference(const eval::Evaluation& evaluation,
                                                     const eval::Comparison& comparison,
                                                     const std::string& measure);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_FINDINGS_H_
