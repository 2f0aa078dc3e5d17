#include "services/review/rate_limiter.h"

#include <gtest/gtest.h>

#include "common/base/steady_time.h"

namespace mellow::review {
namespace {

TEST(RateLimiterTest, AllowsABurstAndThenTheRate) {
  RateLimiter limiter(/*per_second=*/2, /*burst=*/3);
  const SteadyTime start = SteadyTime();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow(1, start));
  EXPECT_FALSE(limiter.Allow(1, start));
  EXPECT_FALSE(limiter.Allow(1, start + absl::Milliseconds(499)));
  EXPECT_TRUE(limiter.Allow(1, start + absl::Milliseconds(501)));
  EXPECT_FALSE(limiter.Allow(1, start + absl::Milliseconds(502)));
}

TEST(RateLimiterTest, KeysDoNotShareAndAPauseGivesNoMoreThanTheBurst) {
  RateLimiter limiter(2, 3);
  const SteadyTime start = SteadyTime();
  for (int i = 0; i < 4; ++i) (void)limiter.Allow(1, start);
  EXPECT_TRUE(limiter.Allow(2, start));
  const SteadyTime later = start + absl::Hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow(1, later));
  EXPECT_FALSE(limiter.Allow(1, later));
}

TEST(RateLimiterTest, AClockThatGoesBackLocksNobodyOut) {
  RateLimiter limiter(1, 1);
  EXPECT_TRUE(limiter.Allow(1, SteadyTime() + absl::Hours(1)));
  EXPECT_FALSE(limiter.Allow(1, SteadyTime()));
  EXPECT_TRUE(limiter.Allow(1, SteadyTime() + absl::Seconds(1)));
}

}  // namespace
}  // namespace mellow::review
