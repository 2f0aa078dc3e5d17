#ifndef MELLOW_COMMON_NN_TORCH_LM_HEAD_H_
#define MELLOW_COMMON_NN_TORCH_LM_HEAD_H_

#include <ATen/ATen.h>

#include "common/nn/torch/t5_weights.h"
#include "common/nn/torch/torch_lora.h"

namespace mellow::nn {

// The vocabulary projection, always without autograd and a few hundred positions at a time: logits
// of a whole batch are never in memory. Gradients come in closed form, d log p(a) / d h = W[a] -
// sum_v p(v) W[v]. With label smoothing e (Szegedy et al. 2016; torch's cross_entropy and
// transformers' LabelSmoother alike) a target's log-likelihood is (1 - e) log p(a) + e mean_v log
// p(v), and W[a] becomes (1 - e) W[a] + e mean_v W[v].
struct HeadOutput {
  at::Tensor logprobs;   // [n] fp32: of the targets, smoothed as asked for
  at::Tensor entropies;  // [n]: of the distributions; undefined unless asked for
  at::Tensor jacobian;   // [n, d_model]: d logprobs[i] / d hidden[i]; undefined unless asked for
};

struct HeadOptions {
  bool entropies = false;
  bool jacobian = false;
  double label_smoothing = 0;                // in [0, 1)
  const TorchLora::Pair* adapted = nullptr;  // the head's LoRA, if any; not with jacobian
};

// hidden: [n, d_model] fp32, the decoder's final states; targets: [n] int64.
[[nodiscard]] HeadOutput ScoreTargets(const T5Weights& weights, const at::Tensor& hidden,
                                      const at::Tensor& targets, const HeadOptions& options);

// KL(p, q) = sum_v p(v) (log p(v) - log q(v)) of the distributions of two hidden states, position
// by position: [n], exact.
[[nodiscard]] at::Tensor VocabularyKl(const T5Weights& weights, const at::Tensor& hidden,
                                      const at::Tensor& reference_hidden);

// What the head multiplies: the hidden states, scaled when it is tied.
[[nodiscard]] at::Tensor HeadInput(const T5Weights& weights, const at::Tensor& hidden);

// Raw fp32 logits [n, vocab]. `adapted`: as in HeadOptions.
[[nodiscard]] at::Tensor Logits(const T5Weights& weights, const at::Tensor& hidden,
                                const TorchLora::Pair* adapted = nullptr);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_LM_HEAD_H_
