#ifndef MELLOW_COMMON_STATS_WILSON_H_
#define MELLOW_COMMON_STATS_WILSON_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace mellow::stats {

// A proportion with its confidence interval, all in [0, 1].
struct Proportion {
  double rate = 0;
  double lower = 0;
  double upper = 0;
  int64_t successes = 0;
  int64_t trials = 0;
};

// The score interval of Wilson, "Probable inference, the law of succession, and statistical
// inference" (JASA 22, 1927), without continuity correction: with z the normal quantile,
//   (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
// It supposes independent trials. InvalidArgument: no trial, successes outside [0, trials],
// confidence outside (0, 1).
[[nodiscard]] absl::StatusOr<Proportion> WilsonInterval(int64_t successes, int64_t trials,
                                                        double confidence = 0.95);

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_WILSON_H_
