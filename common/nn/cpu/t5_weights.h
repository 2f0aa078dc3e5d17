#ifndef MELLOW_COMMON_NN_CPU_T5_WEIGHTS_H_
#define MELLOW_COMMON_NN_CPU_T5_WEIGHTS_H_

#include <memory>
#include <string>
#include <vector>

#include "common/nn/cpu/cpu_linear.h"
#include "common/nn/cpu/position_bias.h"
#include "common/nn/t5_config.h"

namespace mellow::nn::cpu {

// One block of the encoder or decoder; the cross-attention is the decoder's only.
struct T5Block {
  std::vector<float> self_norm;
  CpuLinear self_qkv;
  CpuLinear self_o;
  std::vector<float> cross_norm;
  CpuLinear cross_q;
  CpuLinear cross_kv;  // of the encoder's output
  CpuLinear cross_o;
  std::vector<float> ff_norm;
  CpuLinear wi;  // [wi_0, wi_1] when gated
  CpuLinear wo;
};

// A T5 checkpoint, packed. Immutable except for the growing bias rows, which the model's lock
// guards.
struct T5Weights {
  T5Config config;
  std::vector<float> embedding;  // [vocab, d_model]
  std::vector<T5Block> encoder;
  std::vector<T5Block> decoder;
  std::vector<float> encoder_norm;
  std::vector<float> decoder_norm;
  StackBias encoder_bias;
  StackBias decoder_bias;
  CpuLinear lm_head;
  int64_t parameters = 0;

  // Every adaptable layer.
  std::vector<const CpuLinear*> Linears() const;
};

// Errors as LoadSeq2SeqModel.
[[nodiscard]] absl::StatusOr<std::unique_ptr<T5Weights>> LoadT5Weights(const std::string& folder,
                                                                       CpuBackend* backend);

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_T5_WEIGHTS_H_
