#include "common/rl/value_math.h"

#include <ATen/core/grad_mode.h>

#include <vector>

namespace mellow::rl {

at::Tensor ValueWeightGradient(const at::Tensor& hidden, const at::Tensor& d_values) {
  const at::NoGradGuard no_grad;
  if (!hidden.is_cpu()) return at::mv(hidden.t(), d_values);
  const int64_t n = hidden.size(0), d = hidden.size(1);
  const at::Tensor states = hidden.contiguous();
  const float* const h = states.const_data_ptr<float>();
  const float* const dv = d_values.const_data_ptr<float>();
  std::vector<double> sums(static_cast<size_t>(d));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) sums[static_cast<size_t>(j)] += double{dv[i]} * h[i * d + j];
  }
  at::Tensor out = at::empty({d}, at::kFloat);
  for (int64_t j = 0; j < d; ++j)
    out.mutable_data_ptr<float>()[j] = static_cast<float>(sums[static_cast<size_t>(j)]);
  return out;
}

at::Tensor ValueBiasGradient(const at::Tensor& d_values) {
  const at::NoGradGuard no_grad;
  if (!d_values.is_cpu()) return d_values.sum().view({1});
  double sum = 0;
  for (int64_t i = 0; i < d_values.numel(); ++i) sum += d_values.const_data_ptr<float>()[i];
  return at::full({1}, sum, at::kFloat);
}

at::Tensor HiddenGradient(at::Tensor jacobian, const at::Tensor& d_logprobs,
                          const at::Tensor& d_values, const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  if (!jacobian.is_cpu()) return jacobian.mul_(d_logprobs.unsqueeze(1)).addr_(d_values, weight);
  const int64_t n = jacobian.size(0), d = jacobian.size(1);
  float* const x = jacobian.mutable_data_ptr<float>();
  const float* const dl = d_logprobs.const_data_ptr<float>();
  const float* const dv = d_values.const_data_ptr<float>();
  const float* const w = weight.const_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) x[i * d + j] = x[i * d + j] * dl[i] + dv[i] * w[j];
  }
  return jacobian;
}

}  // namespace mellow::rl
