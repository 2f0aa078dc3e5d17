#include "common/stats/normal_quantile.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace mellow::stats {

double NormalQuantile(double p) {
  if (!(p > 0 && p < 1)) return std::numeric_limits<double>::quiet_NaN();
  if (p > 0.5) return -NormalQuantile(1 - p);  // the lower tail keeps its digits
  // Abramowitz and Stegun 26.2.23, good to 4.5e-4: the iteration below needs no better.
  const double t = std::sqrt(-2 * std::log(p));
  double z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (int i = 0; i < 4; ++i) {
    const double error = 0.5 * std::erfc(-z / std::numbers::sqrt2) - p;
    const double step =
        error * std::sqrt(2 * std::numbers::pi) * std::exp(z * z / 2);  // error / density
    z -= step / (1 + z * step / 2);
  }
  return z;
}

}  // namespace mellow::stats
