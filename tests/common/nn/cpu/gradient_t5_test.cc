#include "common/nn/cpu/gradient_t5.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "common/nn/cpu/gradient_pass.h"
#include "tests/testing/source_tree.h"

namespace mellow::nn::cpu {
namespace {

constexpr int kRank = 3;
constexpr size_t kNothing = 0, kSome = 1'000'000, kAll = GradientT5::kMostTransposed;

// Numbers without a pattern that a wrong layer or row would share.
std::vector<float> Numbers(size_t count, int seed) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; ++i)
    numbers[i] = 0.1f * std::sin(static_cast<float>(i) * 1.7f + static_cast<float>(seed));
  return numbers;
}

// The gradients of an adapter of every module, of one pass after the other.
class Trained {
 public:
  explicit Trained(size_t most_transposed)
      : model_(*GradientT5::Load(mellow::SourceTree("/deploy/models/mini-summarizer"),
                                 {.threads = 2}, most_transposed)) {
    int seed = 0;
    for (const LinearShape& shape : model_->modules()) {
      weights_.push_back(Numbers(static_cast<size_t>(kRank * (shape.in + shape.out)), ++seed));
      const float* const a = weights_.back().data();
      adapter_.push_back({a, a + kRank * shape.in, kRank, 0.5f});
    }
  }
  GradientT5* model() { return model_.get(); }

  std::vector<std::vector<float>> Gradients() {
    GradientT5::Batch batch;
    batch.source_tokens = {5, 6, 7, 8, 1, 9, 10, 1};
    batch.sources.offsets = {0, 5, 8};
    batch.target_tokens = {0, 11, 12, 0, 13};
    batch.targets.offsets = {0, 3, 5};
    const auto pass = model_->Run(batch, adapter_, nullptr, /*gradients=*/true);
    std::vector<std::vector<float>> sums;
    std::vector<LoraGradients> gradients;
    for (size_t i = 0; i < weights_.size(); ++i) {
      sums.emplace_back(weights_[i].size());
      gradients.push_back({sums[i].data(), sums[i].data() + kRank * model_->modules()[i].in});
    }
    const auto states = static_cast<size_t>(5 * model_->config().d_model);
    pass->Backward(Numbers(states, 99).data(), gradients);
    return sums;
  }

 private:
  const std::unique_ptr<GradientT5> model_;
  std::vector<std::vector<float>> weights_;
  std::vector<LoraTensors> adapter_;
};

TEST(GradientT5Test, GradientsAreTheSameWhereverTransposedWeightsAreKept) {
  const auto expected = Trained(kNothing).Gradients();
  for (const std::vector<float>& module : expected) {
    double sum = 0;
    for (const float x : module) sum += std::fabs(x);
    EXPECT_GT(sum, 0);
  }
  for (const size_t most : {kSome, kAll}) {
    Trained trained(most);
    EXPECT_EQ(trained.Gradients(), expected) << most;
    EXPECT_EQ(trained.Gradients(), expected) << most << ", from those that were kept";
    trained.model()->ReleaseMemory();
    EXPECT_EQ(trained.Gradients(), expected) << most << ", after they were given back";
  }
}

}  // namespace
}  // namespace mellow::nn::cpu
