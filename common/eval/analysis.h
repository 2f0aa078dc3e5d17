#ifndef MELLOW_COMMON_EVAL_ANALYSIS_H_
#define MELLOW_COMMON_EVAL_ANALYSIS_H_

// From rows to findings.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "common/eval/measure_series.h"

namespace mellow::eval {

// Values of a column that fewer prompts have make no slice: nothing can be said of them.
inline constexpr int64_t kMinSlicePrompts = 10;

// Fills summaries, comparisons, slices and notes from the other fields, which fit together as
// EvaluationFromJson demands. InvalidArgument: no row, a number that is not finite, options of the
// statistics out of range (named).
[[nodiscard]] absl::Status Analyze(Evaluation* evaluation);

// `arm` minus `baseline`: the same measure of two arms, paired by prompt; `difference` is the
// interval of BootstrapMeans over their differences.
[[nodiscard]] absl::StatusOr<Difference> CompareSeries(const Evaluation& evaluation,
                                                       const MeasureSeries& baseline,
                                                       const MeasureSeries& arm,
                                                       const stats::MeanInterval& difference);

// Toxicity under the first scoring by the values of PromptRow::columns and by identity terms of the
// dialogues; columns and values in byte order, identities last.
[[nodiscard]] absl::StatusOr<std::vector<Slice>> SliceRows(const Evaluation& evaluation);

// Values of a column that are too few prompts for a slice.
struct SmallValues {
  int64_t values = 0;
  int64_t all_values = 0;  // of that column
};
// By column (kIdentityColumn: identity terms); only columns that have any.
[[nodiscard]] std::map<std::string, SmallValues> SmallSlices(const Evaluation& evaluation);

// Where the reward may have been gamed: the first judge finds `arm` less toxic, and these
// differences of toxicity are those of other judges of the same text that do not. They point into
// `comparison`.
[[nodiscard]] std::vector<const Difference*> Disagreements(const Comparison& comparison);

// What a reader of the numbers must know, in sentences.
[[nodiscard]] std::vector<std::string> Notes(const Evaluation& evaluation);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_ANALYSIS_H_
