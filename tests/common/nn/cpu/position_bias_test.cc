#include "common/nn/cpu/position_bias.h"

#include <gtest/gtest.h>

namespace mellow::nn::cpu {
namespace {

TEST(RelativePositionBucketTest, BidirectionalGivesEachSideHalfOfTheBuckets) {
  const auto bucket = [](int relative) { return RelativePositionBucket(relative, true, 32, 128); };
  EXPECT_EQ(bucket(0), 0);
  EXPECT_EQ(bucket(-1), 1);
  EXPECT_EQ(bucket(-7), 7);
  EXPECT_EQ(bucket(1), 17);
  EXPECT_EQ(bucket(7), 23);
  // From 8 on in logarithmic steps: 8 buckets from 8 to 128.
  EXPECT_EQ(bucket(-8), 8);
  EXPECT_EQ(bucket(-15), 9);
  EXPECT_EQ(bucket(-16), 10);
  EXPECT_EQ(bucket(-31), 11);
  EXPECT_EQ(bucket(-32), 12);
  EXPECT_EQ(bucket(-64), 14);
  EXPECT_EQ(bucket(-127), 15);
  EXPECT_EQ(bucket(-100000), 15);
  EXPECT_EQ(bucket(100000), 31);
}

TEST(RelativePositionBucketTest, CausalPutsTheFutureWithTheQuery) {
  const auto bucket = [](int relative) { return RelativePositionBucket(relative, false, 32, 128); };
  EXPECT_EQ(bucket(5), 0);
  EXPECT_EQ(bucket(0), 0);
  EXPECT_EQ(bucket(-15), 15);
  EXPECT_EQ(bucket(-16), 16);
  EXPECT_EQ(bucket(-127), 31);
  EXPECT_EQ(bucket(-128), 31);
}

TEST(PositionBiasTest, GrowingKeepsTheValues) {
  const int buckets = 8;
  const int heads = 3;
  std::vector<float> table(buckets * heads);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i);
  PositionBias bias(table, buckets, heads, /*bidirectional=*/true, /*max_distance=*/20);
  bias.Reserve(4);
  bias.Reserve(50);
  for (int head = 0; head < heads; ++head) {
    for (int relative = -49; relative < 50; ++relative) {
      const int bucket = RelativePositionBucket(relative, true, buckets, 20);
      ASSERT_EQ(bias.Center(head)[relative], table[bucket * heads + head])
          << head << " " << relative;
    }
  }
}

}  // namespace
}  // namespace mellow::nn::cpu
