#include "common/nn/torch/adamw.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace mellow::nn {
namespace {

// Eight partial sums, so that the order does not depend on vectors.
double SumOfSquares(const at::Tensor& gradient) {
  constexpr int64_t kSums = 8;
  const at::Tensor g = gradient.contiguous();
  const float* const x = g.const_data_ptr<float>();
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= g.numel(); i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += double{x[i + j]} * x[i + j];
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  for (; i < g.numel(); ++i) total += double{x[i]} * x[i];
  return total;
}

// libtorch's own operations contract or not by instruction set; these do not.
void StepOnCpu(const AdamWOptions& options, double learning_rate, double correction1,
               double correction2, const at::Tensor& gradient, AdamW::Parameter* p) {
  const float* const g = gradient.const_data_ptr<float>();
  float* const x = p->value.mutable_data_ptr<float>();
  float* const m = p->m.mutable_data_ptr<float>();
  float* const v = p->v.mutable_data_ptr<float>();
  const auto decay = static_cast<float>(1 - learning_rate * options.weight_decay);
  const auto b1 = static_cast<float>(1 - options.beta1);
  const auto b2 = static_cast<float>(options.beta2);
  const auto c2 = static_cast<float>(1 - options.beta2);
  const auto root = static_cast<float>(correction2);
  const auto epsilon = static_cast<float>(options.epsilon);
  const auto rate = static_cast<float>(-learning_rate / correction1);
  const int64_t n = p->value.numel();
  for (int64_t i = 0; i < n; ++i) {
    x[i] *= decay;
    m[i] += b1 * (g[i] - m[i]);
    v[i] = v[i] * b2 + c2 * g[i] * g[i];
    x[i] += rate * m[i] / (std::sqrt(v[i]) / root + epsilon);
  }
}

}  // namespace

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
    const at::Tensor& g = p.value.grad();
    if (!g.defined()) continue;
    squares += g.is_cpu() ? SumOfSquares(g) : g.square().sum(at::kDouble).item<double>();
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
    if (p.value.is_cpu()) {
      StepOnCpu(options_, learning_rate, correction1, correction2, g.contiguous(), &p);
      continue;
    }
    if (options_.weight_decay != 0) p.value.mul_(1 - learning_rate * options_.weight_decay);
    p.m.lerp_(g, 1 - options_.beta1);
    p.v.mul_(options_.beta2).addcmul_(g, g, 1 - options_.beta2);
    const at::Tensor denominator = (p.v.sqrt() / correction2).add_(options_.epsilon);
    p.value.addcdiv_(p.m, denominator, -learning_rate / correction1);
  }
}

}  // namespace mellow::nn
