#include "common/report/charts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/common/report/markup.h"

namespace mellow::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Well-formed, and no coordinate that is none.
void ExpectSound(const std::string& svg) {
  EXPECT_EQ(MarkupError(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(ChartsTest, BinsCountEveryValueOnce) {
  const Bins bins{.lower = 0, .width = 0.25, .count = 4};
  EXPECT_EQ(bins.Fill({0, 0.1, 0.25, 0.5, 0.99, 1.0, kNan}), (std::vector<int64_t>{2, 1, 1, 2}));
  const Bins whole = BinsOfIntegers({{3, 9}, {12}}, 5);
  EXPECT_EQ(whole.lower, 3);
  EXPECT_EQ(whole.width, 2);
  EXPECT_EQ(whole.count, 5);
  EXPECT_EQ(BinsOfIntegers({{7}}, 30).count, 1);
  EXPECT_EQ(BinsOfIntegers({{}, {kNan}}, 30).count, 1);
}

TEST(ChartsTest, LineBreaksWhereAValueIsMissing) {
  const std::string svg =
      LineSvg({.title = "t", .series = {{.x = {1, 2, 3, 4, 5}, .y = {1, 2, kNan, 3, 4}}}});
  ExpectSound(svg);
  size_t lines = 0;
  for (size_t i = svg.find("<polyline"); i != std::string::npos; i = svg.find("<polyline", i + 1))
    ++lines;
  EXPECT_EQ(lines, 2u);
}

TEST(ChartsTest, DegenerateValuesGiveSoundCharts) {
  const std::vector<std::vector<double>> values = {
      {}, {0}, {kNan}, {1, 1, 1}, {1e300, -1e300}, {1e-300, 0}, std::vector<double>(5000, 0.5)};
  for (const std::vector<double>& y : values) {
    std::vector<double> x(y.size());
    std::iota(x.begin(), x.end(), 1.0);
    ExpectSound(LineSvg({.title = "<t>", .x_label = "&", .series = {{.x = x, .y = y}}}));
    ExpectSound(LineSvg({.title = "t", .series = {{"a", x, y}, {"b\"", x, y}}}));
    const Bins bins = BinsOfIntegers({y}, 30);
    ExpectSound(HistogramSvg({.bins = bins, .panels = {{"<&>", bins.Fill(y), kNan}}}));
    ExpectSound(ChangeSvg({.before_label = "<", .after_label = "&", .before = y, .after = y}));
    IntervalChart intervals;
    for (const double v : y) {
      intervals.rows.push_back({"<name>", {v, v - 1, v + 1}, 7});
      if (intervals.rows.size() > 5) break;
    }
    ExpectSound(IntervalSvg(intervals));
    EXPECT_LE(Sparkline(y, 20).size(), 60u);
  }
}

TEST(ChartsTest, LongNamesAreCutAtACharacter) {
  std::string name;
  for (int i = 0; i < 200; ++i) name += "\u00fc";
  const std::string svg = IntervalSvg({.rows = {{name, {0.5, 0.4, 0.6}, 0}}});
  ExpectSound(svg);
  EXPECT_THAT(svg, HasSubstr("\u00fc\u2026</text>"));
}

TEST(ChartsTest, SparklineRisesWithItsValues) {
  EXPECT_EQ(Sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(Sparkline({0, 0, 7, 7}, 2), "▁█");
  EXPECT_EQ(Sparkline({}, 10), "");
  EXPECT_EQ(Sparkline({1, kNan}, 10), "▅ ");
}

TEST(ChartsTest, HistogramOfTextHasOneLineAnArm) {
  const std::string text = HistogramText({.x_label = "x",
                                          .bins = {.lower = 0, .width = 0.5, .count = 2},
                                          .panels = {{"a", {0, 8}}, {"bb", {1, 4}}}});
  EXPECT_THAT(text, HasSubstr("a    █\n"));
  EXPECT_THAT(text, HasSubstr("bb  ▁▄\n"));
}

}  // namespace
}  // namespace mellow::report
