#ifndef MELLOW_COMMON_NN_TORCH_RMS_NORM_H_
#define MELLOW_COMMON_NN_TORCH_RMS_NORM_H_

#include <ATen/ATen.h>

namespace mellow::nn {

// T5's layer norm: y = weight * x / sqrt(mean(x^2) + eps) over the last dimension. x: [n, d] fp32;
// weight: [d] fp32, frozen. Differentiable in x; keeps x and one number a row for that.
[[nodiscard]] at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_RMS_NORM_H_
