#include "common/nn/torch/dropout.h"

#include <ATen/Parallel.h>

namespace mellow::nn {

void Dropout::Fill(float* out, int64_t n, double rate, uint32_t place, size_t row) const {
  constexpr int64_t kGrain = 16384;
  at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
    masks_.Fill(rate, place, row, begin, end - begin, out + begin);
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
  if (masks_.options().model_rate <= 0) return x;
  at::Tensor factors = at::empty(x.sizes(), at::kFloat);
  Fill(factors.mutable_data_ptr<float>(), x.numel(), masks_.options().model_rate, place, row);
  return x * factors.to(x.device());
}

}  // namespace mellow::nn
