#include "common/report/numbers.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"

namespace mellow::report {
namespace {

constexpr char kNotFinite[] = "n/a";
constexpr double kLargestFixed = 1e15;
constexpr double kRounding = 1e-12;  // less is what sums of doubles leave of 0

// The bound of an interval: how near to 0 it is matters less than on which side.
std::string Bound(double value, int decimals) {
  if (!std::isfinite(value) || std::fabs(value) >= kLargestFixed) return Fixed(value, decimals);
  return absl::StrFormat("%.*f", decimals, value == 0 ? 0.0 : value);
}

}  // namespace

int DecimalsFor(std::initializer_list<double> values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::fabs(value));
  }
  if (largest >= 1000) return 0;
  if (largest >= 100) return 1;
  if (largest >= 10) return 2;
  return largest >= 1 ? 3 : 4;
}

std::string Fixed(double value, int decimals) {
  if (!std::isfinite(value)) return kNotFinite;
  if (std::fabs(value) < kRounding) value = 0;
  const double size = std::fabs(value);
  const double unit = std::pow(10.0, -decimals);
  if (size >= kLargestFixed || (size > 0 && size < unit / 2)) return absl::StrFormat("%.1e", value);
  return absl::StrFormat("%.*f", decimals, value == 0 ? 0.0 : value);
}

std::string Signed(double value, int decimals) {
  return absl::StrCat(value >= kRounding ? "+" : "", Fixed(value, decimals));
}

std::string Number(double value) { return Fixed(value, DecimalsFor({value})); }

std::string Percent(double share) {
  return std::isfinite(share) ? absl::StrFormat("%.1f %%", share == 0 ? 0.0 : 100 * share)
                              : kNotFinite;
}

std::string SignedPercent(double share) {
  return absl::StrCat(share > 0 && std::isfinite(share) ? "+" : "", Percent(share));
}

std::string Count(int64_t number) { return Grouped(number); }

std::string Interval(const stats::MeanInterval& interval, int decimals) {
  return absl::StrCat("[", Bound(interval.lower, decimals), ", ", Bound(interval.upper, decimals),
                      "]");
}

std::string SignedInterval(const stats::MeanInterval& interval, int decimals) {
  const auto bound = [&](double value) {
    return absl::StrCat(value > 0 ? "+" : "", Bound(value, decimals));
  };
  return absl::StrCat("[", bound(interval.lower), ", ", bound(interval.upper), "]");
}

}  // namespace mellow::report
