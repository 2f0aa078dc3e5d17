#ifndef MELLOW_COMMON_STATS_BOOTSTRAP_H_
#define MELLOW_COMMON_STATS_BOOTSTRAP_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::stats {

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

// Intervals of the means of several series of one length, each value an independent draw: values
// are resampled with replacement and the bounds are quantiles of the resampled means (Efron's
// percentile method, interpolated as numpy.percentile). Every series sees the same draws. They are
// counter-based: equal arguments give equal bounds on every machine, and a series has the same
// bounds alone and beside others. InvalidArgument: no series, no value, series of different
// lengths, a value that is not finite (its place is named), options out of range.
[[nodiscard]] absl::StatusOr<std::vector<MeanInterval>> BootstrapMeans(
    absl::Span<const std::vector<double>> series, const BootstrapOptions& options);

// after[i] - before[i]. InvalidArgument: different lengths.
[[nodiscard]] absl::StatusOr<std::vector<double>> PairedDifferences(absl::Span<const double> before,
                                                                    absl::Span<const double> after);

// Interval of the mean of after[i] - before[i], pairs resampled together. Errors as above.
[[nodiscard]] absl::StatusOr<MeanInterval> PairedBootstrap(absl::Span<const double> before,
                                                           absl::Span<const double> after,
                                                           const BootstrapOptions& options);

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_BOOTSTRAP_H_
