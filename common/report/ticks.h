#ifndef MELLOW_COMMON_REPORT_TICKS_H_
#define MELLOW_COMMON_REPORT_TICKS_H_

#include <string>
#include <vector>

namespace mellow::report {

// An axis: where its ticks are, what stands at them, and the range that it shows, from its first to
// its last tick.
struct Axis {
  double lower = 0;
  double upper = 1;
  std::vector<double> ticks;  // at least two, rising
  std::vector<std::string> labels;

  // `value` as a share of the axis, clamped to [0, 1].
  [[nodiscard]] double Share(double value) const;
};

struct AxisOptions {
  int intervals = 4;      // about that many between ticks
  bool integers = false;  // ticks at whole numbers only
};

// The smallest axis with ticks at multiples of 1, 2 or 5 times a power of ten that contains both
// bounds. Equal bounds get room on both sides. Bounds that are not finite count as 0, sizes above
// 1e100 as 1e100. Labels differ from each other.
[[nodiscard]] Axis MakeAxis(double lower, double upper, const AxisOptions& options = {});

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_TICKS_H_
