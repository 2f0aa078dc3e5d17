#ifndef MELLOW_COMMON_EVAL_MEASURE_SERIES_H_
#define MELLOW_COMMON_EVAL_MEASURE_SERIES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "common/eval/evaluation.h"

namespace mellow::eval {

enum class Direction { kLowerIsBetter, kHigherIsBetter, kNeither };

// One measure of one arm: a number per prompt, the mean of its samples (of "expected_max" the
// largest).
struct MeasureSeries {
  std::string measure;            // Difference::measure
  std::optional<size_t> scoring;  // index into Evaluation::scorings
  Direction direction = Direction::kNeither;
  std::vector<double> values;  // as Evaluation::rows
};

// Every measure of arm number `arm`: those of each scoring, ROUGE when the first row has
// references, then the shape. Every arm has the same ones in the same order.
[[nodiscard]] std::vector<MeasureSeries> MeasureArm(const Evaluation& evaluation, size_t arm);

[[nodiscard]] bool HasReferences(const Evaluation& evaluation);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_MEASURE_SERIES_H_
