#ifndef MELLOW_COMMON_NN_TORCH_TORCH_T5_H_
#define MELLOW_COMMON_NN_TORCH_TORCH_T5_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/torch/dropout.h"
#include "common/nn/torch/position_bias.h"
#include "common/nn/torch/t5_weights.h"
#include "common/nn/torch/torch_lora.h"

namespace mellow::nn {

// Several sequences one after the other, without padding: linear layers and norms see only real
// tokens, attention goes row by row, and no mask is needed. ids: [sum of lengths] int64 on the
// model's device; every length at least 1.
struct PackedIds {
  at::Tensor ids;
  std::vector<int64_t> lengths;
  // For each sequence where its ids stand, int64 on the device; undefined: at 0, 1, 2, ... Empty:
  // undefined for all. Only Encode looks at it.
  std::vector<at::Tensor> positions;
};
[[nodiscard]] PackedIds PackIds(absl::Span<const std::vector<int64_t>> rows, at::Device device);

// y = x W^T in the weight's type, fp32 in and out.
[[nodiscard]] at::Tensor BaseLinear(const at::Tensor& x, const at::Tensor& weight);

// Dropout on tensors whose rows have these lengths. Without an object nothing is dropped. Not
// owned.
struct RowDropout {
  Dropout* dropout = nullptr;
  const std::vector<int64_t>* lengths = nullptr;

  [[nodiscard]] at::Tensor Hidden(const at::Tensor& x) const {
    return dropout == nullptr ? x : dropout->Hidden(x, *lengths);
  }
  [[nodiscard]] at::Tensor LoraInput(const at::Tensor& x) const {
    return dropout == nullptr ? x : dropout->LoraInput(x, *lengths);
  }
};

// y = x W^T + scaling (dropout(x) A^T) B^T; the base product runs in the weight's type, LoRA and
// the result are fp32. x: [n, in] fp32.
[[nodiscard]] at::Tensor LoraLinear(const at::Tensor& x, const T5Linear& linear,
                                    const TorchLora& lora, const RowDropout& dropout = {});

// The feed-forward sub-layer with its norm and residual. x: [n, d_model].
[[nodiscard]] at::Tensor FeedForward(const at::Tensor& x, const T5FeedForward& ff,
                                     const T5Config& config, const TorchLora& lora,
                                     const RowDropout& dropout = {});

// T5's two stacks as differentiable functions: when A and B of the adapter require gradients (and
// gradients are enabled), so does the result. Nothing is dropped unless a Dropout is given. Not
// thread-safe (it keeps position biases).
class TorchT5 {
 public:
  explicit TorchT5(std::shared_ptr<const T5Weights> weights);

  [[nodiscard]] const T5Weights& weights() const { return *weights_; }
  [[nodiscard]] const T5Config& config() const { return weights_->config; }

  // [source tokens, d_model], after the final layer norm.
  [[nodiscard]] at::Tensor Encode(const PackedIds& source, const TorchLora& lora,
                                  Dropout* dropout = nullptr);
  // Teacher-forced: `target` holds the decoder's inputs (start token first), row i attends to row i
  // of `encoded`. [target tokens, d_model], after the final layer norm; not yet scaled for a tied
  // head.
  [[nodiscard]] at::Tensor Decode(const PackedIds& target, const at::Tensor& encoded,
                                  const std::vector<int64_t>& source_lengths, const TorchLora& lora,
                                  Dropout* dropout = nullptr);

 private:
  [[nodiscard]] at::Tensor SelfAttention(const at::Tensor& x, const T5Attention& attention,
                                         const std::vector<int64_t>& lengths,
                                         const std::vector<at::Tensor>& positions,
                                         PositionBias* bias, const TorchLora& lora,
                                         Dropout* dropout) const;
  [[nodiscard]] at::Tensor CrossAttention(const at::Tensor& x, const at::Tensor& encoded,
                                          const T5Attention& attention,
                                          const std::vector<int64_t>& lengths,
                                          const std::vector<int64_t>& source_lengths,
                                          const TorchLora& lora, Dropout* dropout) const;
  // All rows of one attention layer: `bias` gives the position bias of a row at its positions (as
  // in PackedIds), or nothing.
  [[nodiscard]] at::Tensor Attend(const std::vector<at::Tensor>& q,
                                  const std::vector<at::Tensor>& k,
                                  const std::vector<at::Tensor>& v,
                                  const std::vector<at::Tensor>& positions, PositionBias* bias,
                                  Dropout* dropout) const;

  std::shared_ptr<const T5Weights> weights_;
  StackBias encoder_bias_;
  StackBias decoder_bias_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TORCH_T5_H_
