#ifndef MELLOW_COMMON_EVAL_FIGURES_H_
#define MELLOW_COMMON_EVAL_FIGURES_H_

// Figures of an evaluation as people read them. ASCII only.

#include <string>

#include "common/eval/evaluation.h"

namespace mellow::eval {

// A share with three digits: "89.7 %", "5 %".
[[nodiscard]] std::string Percent(double share);

// "0.0312"; "< 0.0001"; "n/a" when it is not finite.
[[nodiscard]] std::string PValue(double p);

// How many of those without any effect have an interval of that confidence without 0: "one in 20".
[[nodiscard]] std::string FalseAlarms(double confidence);

// "0.5000 -> 0.3000, -0.2000 [-0.3000, -0.1000], p = 0.0001".
[[nodiscard]] std::string DifferenceFigures(const Difference& difference);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_FIGURES_H_
