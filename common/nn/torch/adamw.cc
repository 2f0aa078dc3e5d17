#include "common/nn/torch/adamw.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace mellow::nn {
AdamW::AdamW(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
             const AdamWOptions& options)
    : options_(options) {
  for (const auto& [name, value] : parameters) {
    const at::Tensor plain = value.detach();
    parameters_.push_back({name, value, at::zeros_like(plain), at::zeros_like(plain)});
  }
}

void AdamW::ZeroGradients() {
  for (Parameter& p : parameters_) p.value.mutable_grad() = at::Tensor();
}

double AdamW::GradientNorm() const {
  const at::NoGradGuard no_grad;
  double squares = 0;
  for (const Parameter& p : parameters_) {
    if (p.value.grad().defined())
      squares += p.value.grad().square().sum(at::kDouble).item<double>();
  }
  return std::sqrt(squares);
}

void AdamW::ScaleGradients(double factor) {
  const at::NoGradGuard no_grad;
  for (Parameter& p : parameters_) {
    if (p.value.grad().defined()) p.value.mutable_grad().mul_(factor);
  }
}

void AdamW::Step(double learning_rate) {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = std::sqrt(1 - std::pow(options_.beta2, static_cast<double>(steps_)));
  for (Parameter& p : parameters_) {
    const at::Tensor g = p.value.grad().defined() ? p.value.grad() : at::zeros_like(p.m);
    if (options_.weight_decay != 0) p.value.mul_(1 - learning_rate * options_.weight_decay);
    p.m.lerp_(g, 1 - options_.beta1);
    p.v.mul_(options_.beta2).addcmul_(g, g, 1 - options_.beta2);
    const at::Tensor denominator = (p.v.sqrt() / correction2).add_(options_.epsilon);
    p.value.addcdiv_(p.m, denominator, -learning_rate / correction1);
  }
}

}  // namespace mellow::nn
