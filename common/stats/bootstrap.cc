#include "common/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "common/base/quantile.h"
#include "common/base/status.h"

namespace mellow::stats {
namespace {

absl::Status CheckOptions(const BootstrapOptions& options) {
  if (options.resamples < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("resamples is ", options.resamples, ", must be at least 1"));
  if (!(options.confidence > 0 && options.confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence is ", options.confidence, ", must be between 0 and 1"));
  }
  return absl::OkStatus();
}

absl::Status CheckSeries(absl::Span<const std::vector<double>> series) {
  if (series.empty() || series[0].empty())
    return absl::InvalidArgumentError("bootstrap of no values");
  for (const std::vector<double>& values : series) {
    if (values.size() != series[0].size())
      return absl::InvalidArgumentError(
          absl::StrCat("bootstrap of ", series[0].size(), " values beside ", values.size()));
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i]))
        return absl::InvalidArgumentError(absl::StrCat("value ", i, " is not finite"));
    }
  }
  return absl::OkStatus();
}

// The places that resample `r` draws from `n` values.
void Draw(size_t n, size_t r, const PhiloxKey& key, std::vector<size_t>* places) {
  places->resize(n);
  for (size_t i = 0; i < n; ++i) {
    const double u = PhiloxUniform(
        {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), static_cast<uint32_t>(r), 0},
        key);
    (*places)[i] = static_cast<size_t>(u * static_cast<double>(n));
  }
}

}  // namespace

absl::StatusOr<std::vector<MeanInterval>> BootstrapMeans(
    absl::Span<const std::vector<double>> series, const BootstrapOptions& options) {
  MELLOW_RETURN_IF_ERROR(CheckOptions(options));
  MELLOW_RETURN_IF_ERROR(CheckSeries(series));
  const size_t n = series[0].size();
  const PhiloxKey key = {static_cast<uint32_t>(options.seed),
                         static_cast<uint32_t>(options.seed >> 32)};
  const auto resamples = static_cast<size_t>(options.resamples);
  std::vector<std::vector<double>> means(series.size(), std::vector<double>(resamples));
  std::vector<size_t> places;
  for (size_t r = 0; r < resamples; ++r) {
    Draw(n, r, key, &places);
    for (size_t s = 0; s < series.size(); ++s) {
      double total = 0;
      for (const size_t place : places) total += series[s][place];
      means[s][r] = total / static_cast<double>(n);
    }
  }
  const double tail = (1 - options.confidence) / 2;
  std::vector<MeanInterval> intervals;
  for (size_t s = 0; s < series.size(); ++s) {
    std::sort(means[s].begin(), means[s].end());
    const double sum = std::accumulate(series[s].begin(), series[s].end(), 0.0);
    intervals.push_back({sum / static_cast<double>(n), QuantileOfSorted(means[s], tail),
                         QuantileOfSorted(means[s], 1 - tail)});
  }
  return intervals;
}

absl::StatusOr<std::vector<double>> PairedDifferences(absl::Span<const double> before,
                                                      absl::Span<const double> after) {
  if (before.size() != after.size())
    return absl::InvalidArgumentError(
        absl::StrCat(before.size(), " values cannot be paired with ", after.size()));
  std::vector<double> differences(before.size());
  for (size_t i = 0; i < before.size(); ++i) differences[i] = after[i] - before[i];
  return differences;
}

absl::StatusOr<MeanInterval> PairedBootstrap(absl::Span<const double> before,
                                             absl::Span<const double> after,
                                             const BootstrapOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<double> differences, PairedDifferences(before, after));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<MeanInterval> intervals,
                          BootstrapMeans({differences}, options));
  return intervals[0];
}

}  // namespace mellow::stats
