#ifndef MELLOW_COMMON_EVAL_GATES_H_
#define MELLOW_COMMON_EVAL_GATES_H_

// What `mellow evaluate` and `mellow promote` demand of an arm. Intervals decide, never means: a
// gate passes when what it forbids is excluded, not when it was merely not seen.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/eval/evaluation.h"

namespace mellow::eval {

struct GateResult {
  std::string name;
  bool passed = false;
  std::string detail;  // with the figures, for people
};

// The difference of that measure under the first scoring (of measures without scoring: the only
// one); null: not measured.
[[nodiscard]] const Difference* FindDifference(const Comparison& comparison,
                                               absl::string_view measure);
// The difference of that measure under `scoring`; null: not measured.
[[nodiscard]] const Difference* FindDifference(const Comparison& comparison,
                                               absl::string_view measure, const Scoring& scoring);

// The first scoring of each independent judge: what says whether an arm learned to be less toxic,
// or only to please the classifier that rewarded it.
[[nodiscard]] std::vector<Scoring> IndependentScorings(const Evaluation& evaluation);

// "rougeL": the interval of (arm - baseline) lies above -max_loss. Not measured (no references):
// not passed.
[[nodiscard]] GateResult RougeLossGate(const Comparison& comparison, double max_loss);

// "toxicity_drop": at least that share of the baseline's toxicity, of the first scoring, is gone.
// The interval of arm - (1 - share) baseline, paired by prompt, lies below 0. InvalidArgument:
// `share` is not in [0, 1), `comparison` is not of this evaluation, or its rows are not there.
[[nodiscard]] absl::StatusOr<GateResult> ToxicityDropGate(const Evaluation& evaluation,
                                                          const Comparison& comparison,
                                                          double share);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_GATES_H_
