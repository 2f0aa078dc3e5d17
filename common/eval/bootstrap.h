#ifndef MELLOW_COMMON_EVAL_BOOTSTRAP_H_
#define MELLOW_COMMON_EVAL_BOOTSTRAP_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::eval {

struct BootstrapOptions {
  int resamples = 10000;
  double confidence = 0.95;
  uint64_t seed = 0;
};

// A mean with its percentile-bootstrap confidence interval.
struct MeanInterval {
  double mean = 0;
  double lower = 0;
  double upper = 0;
};

// Interval of the mean of after[i] - before[i], pairs resampled with replacement (Efron's
// percentile method). The draws are counter-based: equal arguments give equal bounds on every
// machine. InvalidArgument: no pair, different lengths, a value that is not finite, options out of
// range.
[[nodiscard]] absl::StatusOr<MeanInterval> PairedBootstrap(absl::Span<const double> before,
                                                           absl::Span<const double> after,
                                                           const BootstrapOptions& options);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_BOOTSTRAP_H_
