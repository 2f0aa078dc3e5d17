#include "common/nn/dropout_masks.h"

#include "common/base/philox.h"

namespace mellow::nn {

template <typename Write>
void DropoutMasks::ForEach(double rate, uint32_t place, size_t row, int64_t first, int64_t n,
                           Write write) const {
  const auto threshold = static_cast<uint32_t>(rate * 4294967296.0);
  const auto kept = static_cast<float>(1.0 / (1.0 - rate));
  const PhiloxKey key = {options_.seed, kStream};
  const uint32_t batch_row = options_.first_row + static_cast<uint32_t>(row);
  PhiloxCounter bits = {};
  for (int64_t i = 0; i < n; ++i) {
    const int64_t index = first + i;
    if (i == 0 || index % 4 == 0)
      bits = Philox4x32({static_cast<uint32_t>(index / 4), place, batch_row, options_.step}, key);
    write(i, bits[static_cast<size_t>(index % 4)] < threshold ? 0.0f : kept);
  }
}

void DropoutMasks::Fill(double rate, uint32_t place, size_t row, int64_t first, int64_t n,
                        float* factors) const {
  ForEach(rate, place, row, first, n, [&](int64_t i, float factor) { factors[i] = factor; });
}

void DropoutMasks::Multiply(double rate, uint32_t place, size_t row, int64_t first, int64_t n,
                            float* x) const {
  ForEach(rate, place, row, first, n, [&](int64_t i, float factor) { x[i] *= factor; });
}

}  // namespace mellow::nn
