#ifndef MELLOW_COMMON_BASE_QUANTILE_H_
#define MELLOW_COMMON_BASE_QUANTILE_H_

#include <algorithm>
#include <cstddef>

#include "absl/types/span.h"

namespace mellow {

// The q-th quantile of sorted values, linear between order statistics as numpy.percentile. `sorted`
// is not empty, q in [0, 1].
[[nodiscard]] inline double QuantileOfSorted(absl::Span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(position);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_QUANTILE_H_
