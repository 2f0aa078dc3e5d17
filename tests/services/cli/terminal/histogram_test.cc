#include "services/cli/terminal/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "common/base/steady_time.h"
#include "services/cli/terminal/progress_line.h"

namespace mellow::cli {
namespace {

TEST(LengthBinsTest, HaveARoundWidthAndTakeOutliersIntoTheLast) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(i);
  values.push_back(50000);
  const std::vector<HistogramBin> bins = LengthBins(values);
  ASSERT_EQ(bins.size(), 10u);
  EXPECT_EQ(bins[1].begin, 100);
  EXPECT_EQ(bins[1].count, 100u);
  EXPECT_TRUE(bins[9].open);
  EXPECT_EQ(bins[9].count, 101u);
  EXPECT_TRUE(LengthBins({}).empty());
  EXPECT_EQ(LengthBins({0.0})[0].count, 1u);
}

TEST(ShareBinsTest, OneBelongsToTheLast) {
  const std::vector<HistogramBin> bins = ShareBins({0, 0.05, 0.5, 1});
  ASSERT_EQ(bins.size(), 10u);
  EXPECT_EQ(bins[0].count, 2u);
  EXPECT_EQ(bins[5].count, 1u);
  EXPECT_EQ(bins[9].count, 1u);
}

TEST(DrawHistogramTest, FillsTheWidthAndIsPlainInAPipe) {
  const std::vector<HistogramBin> bins = {
      {0, 10, false, 40}, {10, 20, false, 0}, {20, 30, true, 1}};
  EXPECT_EQ(DrawHistogram(bins, 30, /*blocks=*/false),
            "    0-9  ################## 40\n"
            "  10-19  0\n"
            "    20+  # 1\n");
  const std::string blocks = DrawHistogram(bins, 30, /*blocks=*/true);
  EXPECT_NE(blocks.find("█"), std::string::npos);
  EXPECT_EQ(blocks.find('#'), std::string::npos);
}

std::string ShownBy(bool live) {
  std::FILE* file = std::tmpfile();
  const SteadyTime begin = SteadyTime();
  {
    ProgressLine progress(file, live, "prompts", 10, 50, begin);
    progress.Advance(1, begin + absl::Seconds(1));
    progress.Advance(19, begin + absl::Seconds(20));
    progress.Advance(20, begin + absl::Seconds(40));
  }
  std::string text(static_cast<size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  EXPECT_EQ(std::fread(text.data(), 1, text.size(), file), text.size());
  std::fclose(file);
  return text;
}

TEST(ProgressLineTest, IsABarInATerminalAndLinesInAPipe) {
  EXPECT_EQ(ShownBy(/*live=*/false), "prompts: 30/50, ETA 20 s\nprompts: 50/50, ETA 0 s\n");
  const std::string live = ShownBy(/*live=*/true);
  EXPECT_NE(live.find("\r\033[Kprompts [======                        ] 10/50  ETA -"),
            std::string::npos);
  EXPECT_NE(live.find("11/50  ETA 39 s"), std::string::npos);
  EXPECT_EQ(live.substr(live.size() - 4), "\r\033[K");
}

}  // namespace
}  // namespace mellow::cli
