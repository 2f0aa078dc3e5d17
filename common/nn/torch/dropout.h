#ifndef MELLOW_COMMON_NN_TORCH_DROPOUT_H_
#define MELLOW_COMMON_NN_TORCH_DROPOUT_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace mellow::nn {

struct DropoutOptions {
  double model_rate = 0;  // of T5's own dropout (dropout_rate of config.json), in [0, 1)
  double lora_rate = 0;   // of the input of LoRA's A, in [0, 1)
  uint32_t seed = 0;
  uint32_t step = 0;       // of the optimizer
  uint32_t first_row = 0;  // of the pass in its step's batch
};

// Inverted dropout, x m / (1 - p) with m Bernoulli(1 - p), at the places where transformers and
// PEFT have it. Counter-based: the mask of an element follows from the seed, the step, the row in
// the step's batch, the place in the network (places count in the order of transformers' forward
// pass; those with rate 0 do not) and the element's index in the row's own tensor: not from
// packing, threads or device, and a step that is repeated after a crash draws the same masks.
// Philox 4x32-10 with key {seed, kStream} and counter {index / 4, place, row, step}; an element is
// dropped when its 32 bits are below p 2^32. One object serves one forward pass. Not thread-safe.
class Dropout {
 public:
  static constexpr uint32_t kStream = 0x64726f70;

  explicit Dropout(const DropoutOptions& options) : options_(options) {}

  // x: [sum of lengths, width], rows one after the other; takes the next place.
  [[nodiscard]] at::Tensor Hidden(const at::Tensor& x, const std::vector<int64_t>& lengths) {
    return Packed(x, lengths, options_.model_rate);
  }
  [[nodiscard]] at::Tensor LoraInput(const at::Tensor& x, const std::vector<int64_t>& lengths) {
    return Packed(x, lengths, options_.lora_rate);
  }
  // Attention goes row by row: all rows of a layer share the place that NextAttention gave.
  [[nodiscard]] uint32_t NextAttention() { return options_.model_rate > 0 ? place_++ : place_; }
  // x: [heads, queries, keys] of the pass's row `row`.
  [[nodiscard]] at::Tensor Attention(const at::Tensor& x, uint32_t place, size_t row) const;

 private:
  [[nodiscard]] at::Tensor Packed(const at::Tensor& x, const std::vector<int64_t>& lengths,
                                  double rate);
  // `n` factors, 0 or 1 / (1 - rate).
  void Fill(float* out, int64_t n, double rate, uint32_t place, size_t row) const;

  const DropoutOptions options_;
  uint32_t place_ = 0;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_DROPOUT_H_
