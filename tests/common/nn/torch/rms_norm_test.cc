#include "common/nn/torch/rms_norm.h"

#include "gtest/gtest.h"

namespace mellow::nn {
namespace {

TEST(RmsNormTest, ValueAndGradientAreThoseOfTheFormula) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({37});
  const at::Tensor data = at::randn({5, 37});
  const at::Tensor upstream = at::randn({5, 37});

  const at::Tensor x = data.clone().set_requires_grad(true);
  const at::Tensor y = RmsNorm(x, weight, 1e-6);
  y.backward(upstream);

  const at::Tensor z = data.clone().set_requires_grad(true);
  const at::Tensor want = weight * z * at::rsqrt(z.square().mean(-1, true) + 1e-6);
  want.backward(upstream);
  EXPECT_TRUE(at::allclose(y, want, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(x.grad(), z.grad(), 1e-4, 1e-5));
  EXPECT_TRUE(RmsNorm(data, weight, 1e-6).equal(y.detach())) << "the same bits without autograd";
}

}  // namespace
}  // namespace mellow::nn
