#ifndef MELLOW_COMMON_NN_DROPOUT_MASKS_H_
#define MELLOW_COMMON_NN_DROPOUT_MASKS_H_

#include <cstddef>
#include <cstdint>

namespace mellow::nn {

struct DropoutOptions {
  double model_rate = 0;  // of T5's own dropout (dropout_rate of config.json), in [0, 1)
  double lora_rate = 0;   // of the input of LoRA's A, in [0, 1)
  uint32_t seed = 0;
  uint32_t step = 0;       // of the optimizer
  uint32_t first_row = 0;  // of the pass in its step's batch
};

// The masks of inverted dropout, x m / (1 - p) with m Bernoulli(1 - p). Counter-based: the mask of
// an element follows from the seed, the step, the row in the step's batch, the place in the network
// (places count in the order of transformers' forward pass; those with rate 0 do not) and the
// element's index in the row's own tensor: not from packing, threads or device, and a step that is
// repeated after a crash draws the same masks. Philox 4x32-10 with key {seed, kStream} and counter
// {index / 4, place, row, step}; an element is dropped when its 32 bits are below p 2^32.
// Immutable, so thread-safe.
class DropoutMasks {
 public:
  static constexpr uint32_t kStream = 0x64726f70;

  explicit DropoutMasks(const DropoutOptions& options) : options_(options) {}
  [[nodiscard]] const DropoutOptions& options() const { return options_; }

  // factors[i]: that of element first + i of the pass's row `row`; 0 or 1 / (1 - rate).
  void Fill(double rate, uint32_t place, size_t row, int64_t first, int64_t n,
            float* factors) const;
  // x[i] *= the same.
  void Multiply(double rate, uint32_t place, size_t row, int64_t first, int64_t n, float* x) const;

 private:
  template <typename Write>
  void ForEach(double rate, uint32_t place, size_t row, int64_t first, int64_t n,
               Write write) const;

  const DropoutOptions options_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_DROPOUT_MASKS_H_
