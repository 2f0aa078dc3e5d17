#ifndef MELLOW_COMMON_NN_TORCH_T5_WEIGHTS_H_
#define MELLOW_COMMON_NN_TORCH_T5_WEIGHTS_H_

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/nn/linear_shape.h"
#include "common/nn/t5_config.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// A bias-free linear layer that LoRA may adapt. `slot` is its place in T5Weights::modules and in
// every TorchLora of the model.
struct T5Linear {
  at::Tensor weight;  // [out, in], of the chosen weight type
  int slot = -1;
};

struct T5Attention {
  at::Tensor layer_norm;  // [d_model], of the sub-layer
  T5Linear q, k, v;       // [inner, d_model]
  T5Linear o;             // [d_model, inner]
};

struct T5FeedForward {
  at::Tensor layer_norm;
  T5Linear wi;       // [d_ff, d_model]; wi_0 when gated
  T5Linear wi_gate;  // wi_1 when gated, else undefined
  T5Linear wo;       // [d_model, d_ff]
};

struct T5Block {
  T5Attention self_attention;
  T5Attention cross_attention;  // of decoder blocks
  T5FeedForward feed_forward;
};

struct T5Stack {
  std::vector<T5Block> blocks;
  // [buckets, heads] each, fp32: of every block, or the first block's, which all share.
  std::vector<at::Tensor> relative_attention_biases;
  at::Tensor final_layer_norm;
};

// The frozen weights of a T5 on one device. Immutable, so thread-safe.
struct T5Weights {
  using Module = LinearShape;

  T5Config config;
  std::string folder;    // that they were read from, if any
  at::Tensor embedding;  // [vocab, d_model], fp32
  at::Tensor head;       // [vocab, d_model]; the embedding when tied
  T5Stack encoder;
  T5Stack decoder;
  std::vector<Module> modules;  // every linear layer, by slot
  int64_t parameter_count = 0;

  // The place of lm_head in a TorchLora, after those of `modules`.
  [[nodiscard]] int head_slot() const { return static_cast<int>(modules.size()); }
  [[nodiscard]] at::Device device() const { return embedding.device(); }
};

// `type` is that of the matrices; norms, embeddings, position biases and each wo (fp16 overflows
// there) stay fp32. Errors as TensorReader::Finish.
[[nodiscard]] absl::StatusOr<T5Weights> BuildT5Weights(const T5Config& config,
                                                       const TensorMap& tensors, at::Device device,
                                                       at::ScalarType type);
// The same from a Hugging Face folder.
[[nodiscard]] absl::StatusOr<T5Weights> LoadT5Weights(const std::string& folder, at::Device device,
                                                      at::ScalarType type);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_T5_WEIGHTS_H_
