#include "common/rl/adam.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace mellow::rl {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEps = 1e-8;

}  // namespace

Adam::Adam(const std::vector<std::pair<std::string, at::Tensor>>& parameters, double learning_rate)
    : learning_rate_(learning_rate) {
  for (const auto& [name, value] : parameters) {
    const at::Tensor plain = value.detach();
    parameters_.push_back({name, value, at::zeros_like(plain), at::zeros_like(plain)});
  }
}

void Adam::ZeroGradients() {
  for (Parameter& p : parameters_) p.value.mutable_grad() = at::Tensor();
}

double Adam::GradientNorm() const {
  const at::NoGradGuard no_grad;
  double squares = 0;
  for (const Parameter& p : parameters_) {
    if (p.value.grad().defined()) squares += p.value.grad().square().sum(at::kDouble).item<double>();
  }
  return std::sqrt(squares);
}

void Adam::ScaleGradients(double factor) {
  const at::NoGradGuard no_grad;
  for (Parameter& p : parameters_) {
    if (p.value.grad().defined()) p.value.mutable_grad().mul_(factor);
  }
}

void Adam::Step() {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(kBeta1, static_cast<double>(steps_));
  const double correction2 = std::sqrt(1 - std::pow(kBeta2, static_cast<double>(steps_)));
  for (Parameter& p : parameters_) {
    const at::Tensor g = p.value.grad().defined() ? p.value.grad() : at::zeros_like(p.m);
    p.m.lerp_(g, 1 - kBeta1);
    p.v.mul_(kBeta2).addcmul_(g, g, 1 - kBeta2);
    const at::Tensor denominator = (p.v.sqrt() / correction2).add_(kEps);
    p.value.addcdiv_(p.m, denominator, -learning_rate_ / correction1);
  }
}

}  // namespace mellow::rl
