#ifndef MELLOW_COMMON_NN_CPU_VOCABULARY_HEAD_H_
#define MELLOW_COMMON_NN_CPU_VOCABULARY_HEAD_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/cpu/t5_weights.h"

namespace mellow::nn::cpu {

// The vocabulary projection on our own kernels, some hundred positions at a time: what lm_head.h of
// libtorch's backend computes, with the log-probs of CpuT5 bit for bit. Not thread-safe.
class VocabularyHead {
 public:
  // Both outlive the head.
  VocabularyHead(CpuBackend* backend, const T5Weights& weights);

  // What is not null is written. hidden: [n, d_model], n the number of targets.
  struct Output {
    float* logprobs = nullptr;   // [n]: of the targets, smoothed
    float* entropies = nullptr;  // [n]
    float* jacobian = nullptr;   // [n, d_model]: d logprobs[i] / d hidden[i]
  };
  void ScoreTargets(const float* hidden, absl::Span<const int64_t> targets, double label_smoothing,
                    const Output& out);
  // sum_v p(v) (log p(v) - log q(v)) of n pairs of states.
  void VocabularyKl(const float* hidden, const float* reference_hidden, int n, float* kl);

  // As GradientT5's.
  void ReleaseMemory();

 private:
  // The logits of rows [start, start + count) of hidden: [count, vocab] in `buffer`.
  float* Logits(const float* hidden, int count, kernels::FloatBuffer* buffer);
  // mean_v W[v], for smoothing.
  const std::vector<float>& MeanRow();

  CpuBackend* const backend_;
  const T5Weights& weights_;
  const int width_;  // d_model
  const int vocab_;
  const float scale_;                 // of the head's input
  kernels::PackedMatrix transposed_;  // W^T, made when first needed, until ReleaseMemory
  std::vector<float> mean_row_;
  kernels::FloatBuffer input_, logits_, reference_logits_;
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_VOCABULARY_HEAD_H_
