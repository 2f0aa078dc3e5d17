#include "common/nn/torch/rms_norm.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace mellow::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Normed {
  at::Tensor y;
  at::Tensor rstd;  // [n, 1]: 1 / sqrt(mean(x[i]^2) + eps)
};

Normed Forward(const at::Tensor& x, const at::Tensor& weight, double eps) {
  at::Tensor rstd = x.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
  return {(x * rstd).mul_(weight), rstd};
}

// dx = r (w dy) - x r^3 / d * sum(w dy x)
at::Tensor Backward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                    const at::Tensor& dy) {
  const at::Tensor wdy = dy * weight;
  const at::Tensor dot = (wdy * x).sum(-1, /*keepdim=*/true);
  return wdy * rstd - x * (dot * rstd.pow(3) / static_cast<double>(x.size(1)));
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    Normed out = Forward(x, weight, eps);
    context->save_for_backward({x, weight, out.rstd});
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
