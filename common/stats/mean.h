#ifndef MELLOW_COMMON_STATS_MEAN_H_
#define MELLOW_COMMON_STATS_MEAN_H_

#include <limits>
#include <numeric>
#include <vector>

namespace mellow::stats {

// NaN of no value.
template <typename Number>
[[nodiscard]] double Mean(const std::vector<Number>& values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_MEAN_H_
