#include "common/stats/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/base/philox.h"

namespace mellow::stats {
namespace {

std::vector<double> Uniforms(size_t n, uint32_t seed) {
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = PhiloxUniform({static_cast<uint32_t>(i), 0, 0, 0}, {seed, 0});
  return values;
}

TEST(PairedBootstrapTest, ConstantDifferenceHasNoSpread) {
  const auto interval = PairedBootstrap({0.5, 0.25, 0.75}, {0.25, 0.0, 0.5}, {});
  ASSERT_TRUE(interval.ok()) << interval.status();
  EXPECT_DOUBLE_EQ(interval->mean, -0.25);
  EXPECT_DOUBLE_EQ(interval->lower, -0.25);
  EXPECT_DOUBLE_EQ(interval->upper, -0.25);
}

// The sum of two uniforms has variance 1/6: the 95 % interval of a mean of 400 is 1.96 * sqrt(1 / 6
// / 400) = 0.040 to either side.
TEST(PairedBootstrapTest, WidthIsThatOfTheNormalApproximation) {
  const auto interval = PairedBootstrap(Uniforms(400, 1), Uniforms(400, 2), {});
  ASSERT_TRUE(interval.ok()) << interval.status();
  EXPECT_NEAR(interval->upper - interval->mean, 0.040, 0.006);
  EXPECT_NEAR(interval->mean - interval->lower, 0.040, 0.006);
}

TEST(PairedBootstrapTest, EqualSeedsGiveEqualBoundsAndOthersDoNot) {
  const std::vector<double> before = Uniforms(50, 1);
  const std::vector<double> after = Uniforms(50, 2);
  const auto a = PairedBootstrap(before, after, {.seed = 7});
  const auto b = PairedBootstrap(before, after, {.seed = 7});
  const auto c = PairedBootstrap(before, after, {.seed = uint64_t{7} << 32});
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  EXPECT_EQ(a->lower, b->lower);
  EXPECT_NE(a->lower, c->lower);
}

TEST(PairedBootstrapTest, RefusesWhatHasNoInterval) {
  EXPECT_EQ(PairedBootstrap({}, {}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PairedBootstrap({1}, {1, 2}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PairedBootstrap({1}, {std::numeric_limits<double>::quiet_NaN()}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PairedBootstrap({1}, {1}, {.resamples = 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PairedBootstrap({1}, {1}, {.confidence = 1}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mellow::stats
