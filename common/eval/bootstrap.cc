#include "common/eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"

namespace mellow::eval {
namespace {

// Linear interpolation between order statistics, as numpy.percentile.
double Quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(position);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

absl::StatusOr<MeanInterval> PairedBootstrap(absl::Span<const double> before,
                                             absl::Span<const double> after,
                                             const BootstrapOptions& options) {
  if (before.empty()) return absl::InvalidArgumentError("bootstrap of no pairs");
  if (before.size() != after.size())
    return absl::InvalidArgumentError(
        absl::StrCat("bootstrap of ", before.size(), " values against ", after.size()));
  if (options.resamples < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("resamples is ", options.resamples, ", must be at least 1"));
  if (!(options.confidence > 0 && options.confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence is ", options.confidence, ", must be between 0 and 1"));
  }
  const size_t n = before.size();
  std::vector<double> differences(n);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    differences[i] = after[i] - before[i];
    if (!std::isfinite(differences[i]))
      return absl::InvalidArgumentError(absl::StrCat("pair ", i, " is not finite"));
    sum += differences[i];
  }
  const PhiloxKey key = {static_cast<uint32_t>(options.seed),
                         static_cast<uint32_t>(options.seed >> 32)};
  std::vector<double> means(static_cast<size_t>(options.resamples));
  for (size_t r = 0; r < means.size(); ++r) {
    double total = 0;
    for (size_t i = 0; i < n; ++i) {
      const double u = PhiloxUniform(
          {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), static_cast<uint32_t>(r), 0},
          key);
      total += differences[static_cast<size_t>(u * static_cast<double>(n))];
    }
    means[r] = total / static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - options.confidence) / 2;
  return MeanInterval{sum / static_cast<double>(n), Quantile(means, tail),
                      Quantile(means, 1 - tail)};
}

}  // namespace mellow::eval
