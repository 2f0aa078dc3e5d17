#include "common/nn/torch/dropout.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "common/base/philox.h"

namespace mellow::nn {

void Dropout::Fill(float* out, int64_t n, double rate, uint32_t place, size_t row) const {
  const auto threshold = static_cast<uint32_t>(rate * 4294967296.0);
  const auto kept = static_cast<float>(1.0 / (1.0 - rate));
  const PhiloxKey key = {options_.seed, kStream};
  const uint32_t batch_row = options_.first_row + static_cast<uint32_t>(row);
  constexpr int64_t kGrain = 4096;  // blocks of four
  at::parallel_for(0, (n + 3) / 4, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const PhiloxCounter bits =
          Philox4x32({static_cast<uint32_t>(block), place, batch_row, options_.step}, key);
      const int64_t left = std::min<int64_t>(4, n - 4 * block);
      for (int64_t i = 0; i < left; ++i)
        out[4 * block + i] = bits[static_cast<size_t>(i)] < threshold ? 0.0f : kept;
    }
  });
}

at::Tensor Dropout::Packed(const at::Tensor& x, const std::vector<int64_t>& lengths, double rate) {
  if (rate <= 0) return x;
  const uint32_t place = place_++;
  at::Tensor factors = at::empty(x.sizes(), at::kFloat);
  float* data = factors.mutable_data_ptr<float>();
  for (size_t row = 0; row < lengths.size(); ++row) {
    const int64_t n = lengths[row] * x.size(1);
    Fill(data, n, rate, place, row);
    data += n;
  }
  return x * factors.to(x.device());
}

at::Tensor Dropout::Attention(const at::Tensor& x, uint32_t place, size_t row) const {
  if (options_.model_rate <= 0) return x;
  at::Tensor factors = at::empty(x.sizes(), at::kFloat);
  Fill(factors.mutable_data_ptr<float>(), x.numel(), options_.model_rate, place, row);
  return x * factors.to(x.device());
}

}  // namespace mellow::nn
