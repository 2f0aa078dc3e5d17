#include "common/eval/figures.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace mellow::eval {
namespace {

constexpr double kSmallestPValue = 5e-5;  // that is not rounded to zero

}  // namespace

std::string Percent(double share) { return absl::StrFormat("%.3g %%", 100 * share); }

std::string PValue(double p) {
  if (!std::isfinite(p)) return "n/a";
  return p < kSmallestPValue ? "< 0.0001" : absl::StrFormat("%.4f", p);
}

std::string FalseAlarms(double confidence) {
  return absl::StrFormat("one in %d", std::lround(1 / std::max(1e-3, 1 - confidence)));
}

std::string DifferenceFigures(const Difference& d) {
  return absl::StrFormat("%.4f -> %.4f, %+.4f [%+.4f, %+.4f], p = %.4f", d.baseline, d.arm,
                         d.difference.mean, d.difference.lower, d.difference.upper, d.p_value);
}

}  // namespace mellow::eval
