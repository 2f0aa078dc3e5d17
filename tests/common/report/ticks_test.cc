#include "common/report/ticks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace mellow::report {
namespace {

TEST(TicksTest, AreRoundNumbersThatContainTheRange) {
  const Axis axis = MakeAxis(0.03, 0.97);
  EXPECT_EQ(axis.lower, 0);
  EXPECT_EQ(axis.upper, 1);
  EXPECT_EQ(axis.labels, (std::vector<std::string>{"0.0", "0.5", "1.0"}));
  EXPECT_EQ(MakeAxis(-1.5, 4.1).labels, (std::vector<std::string>{"-2", "0", "2", "4", "6"}));
  EXPECT_EQ(MakeAxis(0, 1).labels, (std::vector<std::string>{"0.0", "0.5", "1.0"}));
}

TEST(TicksTest, WholeNumbersStayWhole) {
  EXPECT_EQ(MakeAxis(1, 2, {.intervals = 6, .integers = true}).labels,
            (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(MakeAxis(1, 28, {.intervals = 6, .integers = true}).labels.front(), "0");
}

TEST(TicksTest, EveryRangeGivesAnAxis) {
  const double inf = std::numeric_limits<double>::infinity();
  const double values[] = {0,    -0.0, 1,     -1,     1e-12, 1 + 1e-15, 0.1,  1e6,  123456.7,
                           1e15, 1e99, 1e300, -1e300, inf,   -inf,      -0.3, 3e-5, std::nan("")};
  for (const double a : values) {
    for (const double b : values) {
      for (const bool integers : {false, true}) {
        const Axis axis = MakeAxis(a, b, {.integers = integers});
        ASSERT_GE(axis.ticks.size(), 2u) << a << " " << b;
        ASSERT_LE(axis.ticks.size(), 12u) << a << " " << b;
        ASSERT_EQ(axis.ticks.size(), axis.labels.size());
        ASSERT_TRUE(std::isfinite(axis.lower) && axis.lower < axis.upper) << a << " " << b;
        ASSERT_EQ(std::set<std::string>(axis.labels.begin(), axis.labels.end()).size(),
                  axis.labels.size())
            << a << " " << b;
        for (const double value : {a, b}) {
          ASSERT_GE(axis.Share(value), 0) << value;
          ASSERT_LE(axis.Share(value), 1) << value;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mellow::report
