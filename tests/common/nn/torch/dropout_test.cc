#include "common/nn/torch/dropout.h"

#include "common/base/philox.h"
#include "gtest/gtest.h"

namespace mellow::nn {
namespace {

TEST(DropoutTest, KeepsItsShareAndTheMean) {
  Dropout dropout({.model_rate = 0.3, .seed = 1});
  const at::Tensor out = dropout.Hidden(at::ones({1000, 100}), {1000});
  EXPECT_NEAR((out == 0).to(at::kFloat).mean().item<float>(), 0.3, 0.006);  // four standard errors
  EXPECT_NEAR(out.max().item<float>(), 1 / 0.7, 1e-6);
}

TEST(DropoutTest, AMaskDependsOnTheRowAndNotOnWhatIsPackedBesideIt) {
  const at::Tensor x = at::ones({7, 10});
  Dropout both({.lora_rate = 0.5, .seed = 2, .step = 9});
  const at::Tensor packed = both.LoraInput(x, {3, 4});
  Dropout second({.lora_rate = 0.5, .seed = 2, .step = 9, .first_row = 1});
  EXPECT_TRUE(second.LoraInput(x.narrow(0, 0, 4), {4}).equal(packed.narrow(0, 3, 4)));
}

TEST(DropoutTest, PlacesStepsRowsAndSeedsHaveMasksOfTheirOwn) {
  const at::Tensor x = at::ones({1, 256});
  const auto mask = [&](const DropoutOptions& options, int places) {
    Dropout dropout(options);
    for (int i = 0; i < places; ++i) (void)dropout.NextAttention();
    return dropout.Hidden(x, {1});
  };
  const at::Tensor base = mask({.model_rate = 0.5}, 0);
  EXPECT_TRUE(base.equal(mask({.model_rate = 0.5}, 0)));
  EXPECT_FALSE(base.equal(mask({.model_rate = 0.5}, 1)));
  EXPECT_FALSE(base.equal(mask({.model_rate = 0.5, .seed = 1}, 0)));
  EXPECT_FALSE(base.equal(mask({.model_rate = 0.5, .step = 1}, 0)));
  EXPECT_FALSE(base.equal(mask({.model_rate = 0.5, .first_row = 1}, 0)));
}

TEST(DropoutTest, TheMaskIsTheOneThatTheHeaderPromises) {
  Dropout dropout({.model_rate = 0.25, .seed = 5, .step = 6, .first_row = 7});
  const uint32_t place = dropout.NextAttention();
  const at::Tensor out = dropout.Attention(at::ones({1, 2, 5}), place, /*row=*/1).view({-1});
  for (uint32_t i = 0; i < 10; ++i) {
    const PhiloxCounter bits = Philox4x32({i / 4, 0, 8, 6}, {5, DropoutMasks::kStream});
    EXPECT_EQ(out[i].item<float>() == 0, bits[i % 4] < (1u << 30)) << i;
  }
}

TEST(DropoutTest, RateZeroChangesNothing) {
  Dropout dropout({});
  const at::Tensor x = at::rand({2, 3});
  EXPECT_TRUE(dropout.Hidden(x, {2}).equal(x));
  EXPECT_TRUE(dropout.LoraInput(x, {2}).equal(x));
  EXPECT_TRUE(dropout.Attention(x, dropout.NextAttention(), 0).equal(x));
}

}  // namespace
}  // namespace mellow::nn
