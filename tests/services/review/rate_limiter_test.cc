#include "services/review/rate_limiter.h"

#include <gtest/gtest.h>

namespace mellow::review {
namespace {

TEST(RateLimiterTest, AllowsABurstAndThenTheRate) {
  RateLimiter limiter(/*per_second=*/2, /*burst=*/3);
  const absl::Time start = absl::UnixEpoch();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow(1, start));
  EXPECT_FALSE(limiter.Allow(1, start));
  EXPECT_FALSE(limiter.Allow(1, start + absl::Milliseconds(499)));
  EXPECT_TRUE(limiter.Allow(1, start + absl::Milliseconds(501)));
  EXPECT_FALSE(limiter.Allow(1, start + absl::Milliseconds(502)));
}

TEST(RateLimiterTest, KeysDoNotShareAndAPauseGivesNoMoreThanTheBurst) {
  RateLimiter limiter(2, 3);
  const absl::Time start = absl::UnixEpoch();
  for (int i = 0; i < 4; ++i) (void)limiter.Allow(1, start);
  EXPECT_TRUE(limiter.Allow(2, start));
  const absl::Time later = start + absl::Hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow(1, later));
  EXPECT_FALSE(limiter.Allow(1, later));
}

TEST(RateLimiterTest, AClockThatGoesBackLocksNobodyOut) {
  RateLimiter limiter(1, 1);
  EXPECT_TRUE(limiter.Allow(1, absl::UnixEpoch() + absl::Hours(1)));
  EXPECT_FALSE(limiter.Allow(1, absl::UnixEpoch()));
  EXPECT_TRUE(limiter.Allow(1, absl::UnixEpoch() + absl::Seconds(1)));
}

}  // namespace
}  // namespace mellow::review
