#ifndef MELLOW_COMMON_STATS_NORMAL_QUANTILE_H_
#define MELLOW_COMMON_STATS_NORMAL_QUANTILE_H_

namespace mellow::stats {

// z with P(N(0, 1) <= z) = p, to about 1e-15 relative; p in (0, 1), else NaN. Found by Newton's
// method with Halley's correction on std::erfc, whose accuracy the result inherits.
[[nodiscard]] double NormalQuantile(double p);

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_NORMAL_QUANTILE_H_
