#ifndef MELLOW_COMMON_STATS_MEAN_H_
#define MELLOW_COMMON_STATS_MEAN_H_

#include <cmath>
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

struct MeanSd {
  double mean = 0;
  double sd = 0;
};
// With the unbiased standard deviation. A figure that the values are too few for is 0.
[[nodiscard]] inline MeanSd MeanAndSd(const std::vector<double>& values) {
  MeanSd out;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) out.mean += value / n;
  if (values.size() < 2) return out;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.sd = std::sqrt(squares / (n - 1));
  return out;
}

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_MEAN_H_
