#include "common/nn/torch/lm_head.h"

#include "gtest/gtest.h"
#include "tests/common/nn/torch/small_t5.h"

namespace mellow::nn {
namespace {

class LmHeadTest : public ::testing::TestWithParam<const char*> {
 protected:
  // More positions than one chunk holds.
  static constexpr int64_t kPositions = 600;
  void SetUp() override {
    weights_ = SmallT5(GetParam());
    at::manual_seed(1);
    hidden_ = at::randn({kPositions, weights_->config.d_model});
    targets_ = at::randint(weights_->config.vocab_size, {kPositions}, at::kLong);
  }
  std::shared_ptr<const T5Weights> weights_;
  at::Tensor hidden_, targets_;
};

TEST_P(LmHeadTest, MatchesAutogradThroughTheWholeVocabulary) {
  const at::Tensor leaf = hidden_.clone().set_requires_grad(true);
  const at::Tensor log_p = at::log_softmax(Logits(*weights_, leaf), 1);
  const at::Tensor chosen = log_p.gather(1, targets_.unsqueeze(1)).squeeze(1);
  chosen.sum().backward();
  const HeadOutput got =
      ScoreTargets(*weights_, hidden_, targets_, {.entropies = true, .jacobian = true});
  EXPECT_TRUE(at::allclose(got.logprobs, chosen.detach(), 1e-5, 1e-5));
  EXPECT_TRUE(
      at::allclose(got.entropies, -(log_p.detach().exp() * log_p.detach()).sum(1), 1e-4, 1e-4));
  EXPECT_TRUE(at::allclose(got.jacobian, leaf.grad(), 1e-4, 1e-5));
}

TEST_P(LmHeadTest, SmoothedLabelsMatchAutograd) {
  constexpr double kSmoothing = 0.2;
  const at::Tensor leaf = hidden_.clone().set_requires_grad(true);
  const at::Tensor loss =
      at::cross_entropy_loss(Logits(*weights_, leaf), targets_, {}, at::Reduction::None,
                             /*ignore_index=*/-100, kSmoothing);
  loss.sum().backward();
  const HeadOutput got =
      ScoreTargets(*weights_, hidden_, targets_, {.jacobian = true, .label_smoothing = kSmoothing});
  EXPECT_TRUE(at::allclose(got.logprobs, -loss.detach(), 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(got.jacobian, -leaf.grad(), 1e-4, 1e-5));
}

TEST_P(LmHeadTest, VocabularyKlIsExactAndZeroForEqualStates) {
  const at::Tensor other = hidden_ + 0.3 * at::randn_like(hidden_);
  const at::Tensor log_p = at::log_softmax(Logits(*weights_, hidden_), 1);
  const at::Tensor log_q = at::log_softmax(Logits(*weights_, other), 1);
  EXPECT_TRUE(at::allclose(VocabularyKl(*weights_, hidden_, other),
                           (log_p.exp() * (log_p - log_q)).sum(1), 1e-4, 1e-5));
  EXPECT_EQ(VocabularyKl(*weights_, hidden_, hidden_).abs().max().item<float>(), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, LmHeadTest, ::testing::Values("gated", "tied"));

}  // namespace
}  // namespace mellow::nn
