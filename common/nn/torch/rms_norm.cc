#include "common/nn/torch/rms_norm.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace mellow::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// rstd[i] = 1 / sqrt(mean(x[i]^2) + eps)
at::Tensor ReciprocalRms(const at::Tensor& x, double eps) {
  return x.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
}

void ForwardRow(const float* x, const float* weight, int64_t d, float eps, float* y, float* rstd) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < d; ++j) sum += x[j] * x[j];
  const float r = 1.0f / std::sqrt(sum / static_cast<float>(d) + eps);
  *rstd = r;
  for (int64_t j = 0; j < d; ++j) y[j] = x[j] * r * weight[j];
}

// dx = r (w dy) - x r^3 / d * sum(w dy x)
void BackwardRow(const float* x, const float* weight, const float* dy, float r, int64_t d, float* dx) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t j = 0; j < d; ++j) dot += weight[j] * dy[j] * x[j];
  const float k = dot * r * r * r / static_cast<float>(d);
  for (int64_t j = 0; j < d; ++j) dx[j] = r * weight[j] * dy[j] - k * x[j];
}

struct Normed {
  at::Tensor y;
  at::Tensor rstd;  // [n, 1]
};

Normed Forward(const at::Tensor& input, const at::Tensor& weight, double eps) {
  if (!input.is_cpu()) {
    at::Tensor rstd = ReciprocalRms(input, eps);
    return {(input * rstd).mul_(weight), rstd};
  }
  const at::Tensor x = input.contiguous();
  const int64_t n = x.size(0);
  const int64_t d = x.size(1);
  Normed out{at::empty_like(x), at::empty({n, 1}, x.options())};
  const float* px = x.const_data_ptr<float>();
  const float* pw = weight.const_data_ptr<float>();
  float* py = out.y.mutable_data_ptr<float>();
  float* pr = out.rstd.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i)
    ForwardRow(px + i * d, pw, d, static_cast<float>(eps), py + i * d, pr + i);
  return out;
}

at::Tensor Backward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                    const at::Tensor& grad) {
  const int64_t n = x.size(0);
  const int64_t d = x.size(1);
  if (!x.is_cpu()) {
    const at::Tensor wdy = grad * weight;
    const at::Tensor dot = (wdy * x).sum(-1, /*keepdim=*/true);
    return wdy * rstd - x * (dot * rstd.pow(3) / static_cast<double>(d));
  }
  const at::Tensor dy = grad.contiguous();
  at::Tensor dx = at::empty_like(x);
  const float* px = x.const_data_ptr<float>();
  const float* pw = weight.const_data_ptr<float>();
  const float* pdy = dy.const_data_ptr<float>();
  const float* pr = rstd.const_data_ptr<float>();
  float* pdx = dx.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i)
    BackwardRow(px + i * d, pw, pdy + i * d, pr[i], d, pdx + i * d);
  return dx;
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const at::Tensor contiguous = x.contiguous();
    Normed out = Forward(contiguous, weight, eps);
    context->save_for_backward({contiguous, weight, out.rstd});
    return out.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    return {Backward(saved[0], saved[1], saved[2], grads[0]), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!x.requires_grad() || !at::GradMode::is_enabled()) return Forward(x, weight, eps).y;
  return RmsNormFunction::apply(x, weight, eps);
}

}  // namespace mellow::nn
