#include "common/nn/torch/lm_head.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <vector>

#include "common/nn/torch/torch_t5.h"

namespace mellow::nn {
namespace {

constexpr int64_t kChunk = 256;  // positions: 33 MB of logits with T5's vocabulary

// T5's own heads see the hidden state scaled by d_model^-0.5; folded into a factor.
double HeadScale(const T5Weights& weights) {
  return weights.config.scale_decoder_outputs ? 1.0 / std::sqrt(weights.config.d_model) : 1.0;
}

// sum(x * y) over the last dimension, without the product in memory: [n].
at::Tensor RowDots(const at::Tensor& x, const at::Tensor& y) {
  return at::bmm(x.unsqueeze(1), y.unsqueeze(2)).view({-1});
}

}  // namespace

at::Tensor HeadInput(const T5Weights& weights, const at::Tensor& hidden) {
  const double scale = HeadScale(weights);
  return scale == 1.0 ? hidden : hidden * scale;
}

at::Tensor Logits(const T5Weights& weights, const at::Tensor& hidden,
                  const TorchLora::Pair* adapted) {
  const at::Tensor input = HeadInput(weights, hidden);
  at::Tensor y = BaseLinear(input, weights.head);
  if (adapted != nullptr && adapted->a.defined())
    y.addmm_(at::linear(input, adapted->a), adapted->b.t(), 1, adapted->scaling);
  return y;
}

HeadOutput ScoreTargets(const T5Weights& weights, const at::Tensor& hidden,
                        const at::Tensor& targets, const HeadOptions& options) {
  const at::NoGradGuard no_grad;
  const at::Tensor all = hidden.detach();
  const double smoothing = options.label_smoothing;
  const at::Tensor mean_row =
      smoothing > 0 ? weights.head.mean(0, false, at::kFloat) : at::Tensor();
  std::vector<at::Tensor> logprobs, entropies, jacobians;
  for (int64_t begin = 0; begin < all.size(0); begin += kChunk) {
    const int64_t n = std::min(kChunk, all.size(0) - begin);
    const at::Tensor target = targets.narrow(0, begin, n);
    const at::Tensor logits = Logits(weights, all.narrow(0, begin, n), options.adapted);
    const at::Tensor norm = at::logsumexp(logits, {1});
    at::Tensor wanted = logits.gather(1, target.unsqueeze(1)).squeeze(1);
    if (smoothing > 0) wanted = wanted.mul_(1 - smoothing).add_(logits.mean(1), smoothing);
    logprobs.push_back(wanted - norm);
    if (!options.entropies && !options.jacobian) continue;
    const at::Tensor p = (logits - norm.unsqueeze(1)).exp_();
    if (options.entropies) entropies.push_back(norm - RowDots(p, logits));
    if (options.jacobian) {
      at::Tensor chosen = at::embedding(weights.head, target).to(at::kFloat);
      if (smoothing > 0) chosen = chosen.mul(1 - smoothing).add_(mean_row, smoothing);
      const at::Tensor expected =
          at::mm(p.to(weights.head.scalar_type()), weights.head).to(at::kFloat);
      jacobians.push_back((chosen - expected).mul_(HeadScale(weights)));
    }
  }
  HeadOutput out;
  out.logprobs = at::cat(logprobs);
  if (options.entropies) out.entropies = at::cat(entropies);
  if (options.jacobian) out.jacobian = at::cat(jacobians);
  return out;
}

at::Tensor VocabularyKl(const T5Weights& weights, const at::Tensor& hidden,
                        const at::Tensor& reference_hidden) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < hidden.size(0); begin += kChunk) {
    const int64_t n = std::min(kChunk, hidden.size(0) - begin);
    const at::Tensor log_p =
        at::log_softmax(Logits(weights, hidden.detach().narrow(0, begin, n)), 1);
    const at::Tensor log_q =
        at::log_softmax(Logits(weights, reference_hidden.detach().narrow(0, begin, n)), 1);
    parts.push_back(RowDots(log_p.exp(), log_p - log_q));
  }
  return at::cat(parts);
}

}  // namespace mellow::nn
