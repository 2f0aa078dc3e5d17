#include "common/rl/adam.h"

#include <cmath>

#include "common/nn/torch/tensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::rl {
namespace {

at::Tensor Leaf(const std::vector<float>& values) { return nn::FloatTensor(values, at::kCPU); }

TEST(AdamTest, FirstStepMovesByTheLearningRateAgainstTheSign) {
  const at::Tensor x = Leaf({1, 2, 3});
  Adam adam({{"x", x}}, 0.1);
  x.mutable_grad() = Leaf({5, -1e-3f, 0});
  adam.Step();
  EXPECT_THAT(nn::ToVector(x), ::testing::Pointwise(::testing::FloatNear(1e-5f), {0.9f, 2.1f, 3.0f}));
}

TEST(AdamTest, FollowsTheFormulaOverSteps) {
  const at::Tensor x = Leaf({1});
  Adam adam({{"x", x}}, 0.01);
  double theta = 1, m = 0, v = 0;
  const double gradients[] = {0.3, -1.0, 0.2, 0.0};
  for (int t = 1; t <= 4; ++t) {
    const double g = gradients[t - 1];
    x.mutable_grad() = Leaf({static_cast<float>(g)});
    adam.Step();
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    theta -= 0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    EXPECT_NEAR(nn::ToVector(x)[0], theta, 1e-6) << t;
  }
}

TEST(AdamTest, AnUndefinedGradientIsZeroAndMomentumStillMoves) {
  const at::Tensor x = Leaf({1});
  Adam adam({{"x", x}}, 0.1);
  x.mutable_grad() = Leaf({1});
  adam.Step();
  const float before = nn::ToVector(x)[0];
  adam.ZeroGradients();
  adam.Step();
  EXPECT_LT(nn::ToVector(x)[0], before);
}

TEST(AdamTest, NormIsGlobalAndScalingScales) {
  const at::Tensor x = Leaf({0}), y = Leaf({0});
  Adam adam({{"x", x}, {"y", y}}, 0.1);
  EXPECT_EQ(adam.GradientNorm(), 0);
  x.mutable_grad() = Leaf({3});
  y.mutable_grad() = Leaf({4});
  EXPECT_DOUBLE_EQ(adam.GradientNorm(), 5);
  adam.ScaleGradients(0.5);
  EXPECT_DOUBLE_EQ(adam.GradientNorm(), 2.5);
}

}  // namespace
}  // namespace mellow::rl
