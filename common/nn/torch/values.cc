#include "common/nn/torch/values.h"

#include <ATen/core/grad_mode.h>

#include "common/nn/value_head.h"

namespace mellow::nn {

at::Tensor Values(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& bias) {
  const at::NoGradGuard no_grad;
  if (!hidden.is_cpu()) return at::mv(hidden, weight).add_(bias);
  const int64_t n = hidden.size(0), d = hidden.size(1);
  const at::Tensor states = hidden.contiguous();
  at::Tensor values = at::empty({n}, at::kFloat);
  const float b = bias.item<float>();
  for (int64_t i = 0; i < n; ++i) {
    values.mutable_data_ptr<float>()[i] =
        ValueOf(weight.const_data_ptr<float>(), b, states.const_data_ptr<float>() + i * d, d);
  }
  return values;
}

}  // namespace mellow::nn
