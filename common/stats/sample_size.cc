#include "common/stats/sample_size.h"

#include <cmath>

#include "common/stats/normal_quantile.h"

namespace mellow::stats {
namespace {

std::optional<double> FromVariance(double variance, double change, const TestPower& test) {
  const double z = NormalQuantile(1 - test.alpha / 2) + NormalQuantile(test.power);
  const double n = z * z * variance / (change * change);
  if (!std::isfinite(n) || z <= 0) return std::nullopt;
  return n;
}

}  // namespace

std::optional<double> PairedSampleSize(double sd_of_differences, double change,
                                       const TestPower& test) {
  if (!(sd_of_differences >= 0) || change == 0) return std::nullopt;
  return FromVariance(sd_of_differences * sd_of_differences, change, test);
}

std::optional<double> UnpairedSampleSize(double sd_a, double sd_b, double change,
                                         const TestPower& test) {
  if (!(sd_a >= 0 && sd_b >= 0) || change == 0) return std::nullopt;
  return FromVariance(sd_a * sd_a + sd_b * sd_b, change, test);
}

}  // namespace mellow::stats
