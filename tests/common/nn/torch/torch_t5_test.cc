#include "common/nn/torch/torch_t5.h"

#include <ATen/core/grad_mode.h>

#include "gtest/gtest.h"
#include "tests/common/nn/torch/small_t5.h"

namespace mellow::nn {
namespace {

class TorchT5Test : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    weights_ = SmallT5(GetParam());
    model_ = std::make_unique<TorchT5>(weights_);
    LoraConfig config{.r = 3, .lora_alpha = 6, .target_modules = {"q", "k", "v", "o", "wo"}};
    config.target_modules.push_back(weights_->config.gated ? "wi_1" : "wi");
    LoraWeights lora = *FreshLora(*weights_, config, 3);
    for (auto& [name, pair] : lora.modules)
      pair.b =
          HostTensor::FromFloat32(UniformWeights(4, name, pair.b.elements(), 0.2), pair.b.shape);
    lora_ = std::make_unique<TorchLora>(*TorchLora::Create(*weights_, lora, /*trainable=*/true));
  }

  at::Tensor Forward(const std::vector<std::vector<int64_t>>& sources,
                     const std::vector<std::vector<int64_t>>& targets) {
    const PackedIds source = PackIds(sources, at::kCPU);
    return model_->Decode(PackIds(targets, at::kCPU), model_->Encode(source, *lora_),
                          source.lengths, *lora_);
  }

  const std::vector<std::vector<int64_t>> sources_ = {{5, 9, 33, 2, 1}, {70, 1}, {8, 8, 8, 1}};
  const std::vector<std::vector<int64_t>> targets_ = {{0, 4}, {0, 11, 12, 13}, {0}};
  std::shared_ptr<const T5Weights> weights_;
  std::unique_ptr<TorchT5> model_;
  std::unique_ptr<TorchLora> lora_;
};

TEST_P(TorchT5Test, PackedRowsDoNotSeeEachOther) {
  const at::NoGradGuard no_grad;
  const at::Tensor together = Forward(sources_, targets_);
  int64_t begin = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const at::Tensor alone = Forward({sources_[i]}, {targets_[i]});
    EXPECT_TRUE(at::allclose(together.narrow(0, begin, alone.size(0)), alone, 1e-5, 1e-5)) << i;
    begin += alone.size(0);
  }
}

TEST_P(TorchT5Test, LaterTargetTokensDoNotReachEarlierPositions) {
  const at::NoGradGuard no_grad;
  const at::Tensor a = Forward({sources_[0]}, {{0, 4, 7}});
  const at::Tensor b = Forward({sources_[0]}, {{0, 4, 50}});
  EXPECT_TRUE(a.narrow(0, 0, 2).equal(b.narrow(0, 0, 2)));
  EXPECT_FALSE(a.narrow(0, 2, 1).equal(b.narrow(0, 2, 1)));
}

TEST_P(TorchT5Test, GradientsOfEveryAdaptedModuleAreThoseOfFiniteDifferences) {
  at::manual_seed(3);
  const at::Tensor upstream = at::randn({7, weights_->config.d_model});
  Forward(sources_, targets_).backward(upstream);
  const at::NoGradGuard no_grad;
  const auto loss = [&] {
    return (Forward(sources_, targets_) * upstream).sum(at::kDouble).item<double>();
  };
  constexpr float kStep = 1e-3f;
  for (const TorchLora::Named& p : lora_->parameters()) {
    for (const at::Tensor& tensor : {p.a, p.b}) {
      // Along a random direction, so that one difference checks the whole tensor.
      const at::Tensor direction = at::randn_like(tensor);
      const double want = (tensor.grad() * direction).sum().item<double>();
      tensor.add_(direction, kStep);
      const double up = loss();
      tensor.sub_(direction, 2 * kStep);
      const double down = loss();
      tensor.add_(direction, kStep);
      EXPECT_NEAR((up - down) / (2 * kStep), want, 0.03 * std::abs(want) + 0.02) << p.module;
    }
  }
}

TEST_P(TorchT5Test, TheSameBitsWithAndWithoutAutograd) {
  const at::Tensor with = Forward(sources_, targets_).detach();
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(Forward(sources_, targets_).equal(with));
}

INSTANTIATE_TEST_SUITE_P(Models, TorchT5Test, ::testing::Values("gated", "tied"));

}  // namespace
}  // namespace mellow::nn
