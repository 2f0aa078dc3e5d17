#include "common/report/ticks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace mellow::report {
namespace {

constexpr double kLargest = 1e100;
// Narrower than that share of the larger bound is rounding, not a range.
constexpr double kNarrowest = 1e-9;

double Bounded(double value) {
  return std::isfinite(value) ? std::clamp(value, -kLargest, kLargest) : 0;
}

// The next of 1, 2, 5 times a power of ten that is at least `step`.
double NiceStep(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::string Label(double value, double step, double largest) {
  if (largest >= 1e6 || (largest < 1e-3 && largest > 0)) {
    // As many digits as tell neighbors apart.
    const int digits = std::max(0, static_cast<int>(std::ceil(std::log10(largest / step) - 1e-9)));
    return value == 0 ? "0" : absl::StrFormat("%.*e", digits, value);
  }
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  return absl::StrFormat("%.*f", decimals, value == 0 ? 0.0 : value);
}

}  // namespace

double Axis::Share(double value) const {
  if (!std::isfinite(value)) return 0;
  return std::clamp((value - lower) / (upper - lower), 0.0, 1.0);
}

Axis MakeAxis(double lower, double upper, const AxisOptions& options) {
  lower = Bounded(lower);
  upper = Bounded(upper);
  if (lower > upper) std::swap(lower, upper);
  const double size = std::max(std::fabs(lower), std::fabs(upper));
  if (upper - lower <= kNarrowest * size || upper == lower) {
    const double room = size > 0 ? size / 10 : 0.5;
    lower -= room;
    upper += room;
  }
  double step = NiceStep((upper - lower) / std::max(1, options.intervals));
  if (options.integers) step = std::max(step, 1.0);
  const double first = std::floor(lower / step + 1e-9);
  const double last = std::max(std::ceil(upper / step - 1e-9), first + 1);
  Axis axis{.lower = first * step, .upper = last * step};
  const double largest = std::max(std::fabs(axis.lower), std::fabs(axis.upper));
  for (double i = first; i <= last + 0.5; ++i) {
    axis.ticks.push_back(i * step);
    axis.labels.push_back(Label(i * step, step, largest));
  }
  return axis;
}

}  // namespace mellow::report
