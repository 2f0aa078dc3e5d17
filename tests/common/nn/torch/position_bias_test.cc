#include "common/nn/torch/position_bias.h"

#include <cmath>

#include "common/nn/torch/tensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::nn {
namespace {

std::vector<float> Buckets(const std::vector<int64_t>& relative, bool bidirectional) {
  return ToVector(RelativePositionBucket(IdTensor(relative, at::kCPU), bidirectional, 32, 128));
}

TEST(RelativePositionBucketTest, ExactNearLogarithmicFarHalfForEachDirection) {
  // 16 buckets per direction, 8 exact; 16 positions away is a third of the way to 128 in the
  // logarithm: 8 + 2.
  EXPECT_THAT(Buckets({0, -1, -7, -8, -16, -127, -1000}, true),
              ::testing::ElementsAre(0, 1, 7, 8, 10, 15, 15));
  EXPECT_THAT(Buckets({1, 7, 8, 16, 1000}, true), ::testing::ElementsAre(17, 23, 24, 26, 31));
}

TEST(RelativePositionBucketTest, CausalUsesAllBucketsForThePast) {
  EXPECT_THAT(Buckets({5, 0, -15, -16, -128, -9999}, false),
              ::testing::ElementsAre(0, 0, 15, 16, 31, 31));
}

TEST(PositionBiasTest, ShorterLengthsAreCornersAndTheFutureIsMinusInfinity) {
  T5Config config;
  config.num_heads = 2;
  PositionBias bias(config, at::randn({32, 2}), /*causal=*/true);
  const at::Tensor small = bias.Get(3).clone();
  const at::Tensor large = bias.Get(200);
  EXPECT_TRUE(large.narrow(1, 0, 3).narrow(2, 0, 3).equal(small));
  EXPECT_TRUE(std::isinf(small[0][0][1].item<float>()));
  EXPECT_TRUE(std::isfinite(small[1][2][0].item<float>()));
}

}  // namespace
}  // namespace mellow::nn
