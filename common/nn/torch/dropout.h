#ifndef MELLOW_COMMON_NN_TORCH_DROPOUT_H_
#define MELLOW_COMMON_NN_TORCH_DROPOUT_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "common/nn/dropout_masks.h"

namespace mellow::nn {

// Inverted dropout with the masks of DropoutMasks, at the places where transformers and PEFT have
// it. One object serves one forward pass. Not thread-safe.
class Dropout {
 public:
  explicit Dropout(const DropoutOptions& options) : masks_(options) {}

  // x: [sum of lengths, width], rows one after the other; takes the next place.
  [[nodiscard]] at::Tensor Hidden(const at::Tensor& x, const std::vector<int64_t>& lengths) {
    return Packed(x, lengths, masks_.options().model_rate);
  }
  [[nodiscard]] at::Tensor LoraInput(const at::Tensor& x, const std::vector<int64_t>& lengths) {
    return Packed(x, lengths, masks_.options().lora_rate);
  }
  // Attention goes row by row: all rows of a layer share the place that NextAttention gave.
  [[nodiscard]] uint32_t NextAttention() {
    return masks_.options().model_rate > 0 ? place_++ : place_;
  }
  // x: [heads, queries, keys] of the pass's row `row`.
  [[nodiscard]] at::Tensor Attention(const at::Tensor& x, uint32_t place, size_t row) const;

 private:
  [[nodiscard]] at::Tensor Packed(const at::Tensor& x, const std::vector<int64_t>& lengths,
                                  double rate);
  void Fill(float* out, int64_t n, double rate, uint32_t place, size_t row) const;

  const DropoutMasks masks_;
  uint32_t place_ = 0;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_DROPOUT_H_
