#include "common/stats/wilson.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/stats/normal_quantile.h"

namespace mellow::stats {

absl::StatusOr<Proportion> WilsonInterval(int64_t successes, int64_t trials, double confidence) {
  if (trials < 1)
    return absl::InvalidArgumentError(absl::StrCat("a proportion of ", trials, " trials"));
  if (successes < 0 || successes > trials)
    return absl::InvalidArgumentError(
        absl::StrCat("a proportion of ", successes, " successes in ", trials, " trials"));
  if (!(confidence > 0 && confidence < 1))
    return absl::InvalidArgumentError(
        absl::StrCat("confidence is ", confidence, ", must be between 0 and 1"));
  const double z = NormalQuantile(0.5 + confidence / 2);
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double scale = 1 + z * z / n;
  const double center = (p + z * z / (2 * n)) / scale;
  const double half = z / scale * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return Proportion{.rate = p,
                    // The ends are exact; rounding would put the rate outside of its interval.
                    .lower = successes == 0 ? 0 : std::max(0.0, center - half),
                    .upper = successes == trials ? 1 : std::min(1.0, center + half),
                    .successes = successes,
                    .trials = trials};
}

}  // namespace mellow::stats
