#ifndef MELLOW_COMMON_EVAL_MEAN_H_
#define MELLOW_COMMON_EVAL_MEAN_H_

#include <limits>
#include <numeric>
#include <vector>

namespace mellow::eval {

// NaN of no value.
template <typename Number>
[[nodiscard]] double Mean(const std::vector<Number>& values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_MEAN_H_
