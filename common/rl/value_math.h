#ifndef MELLOW_COMMON_RL_VALUE_MATH_H_
#define MELLOW_COMMON_RL_VALUE_MATH_H_

// The value head v = w . h + b on hidden states h [n, d_model], and its gradients in closed form.
// On the CPU sums go in one order whatever the threads and the instruction set.

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "common/nn/torch/values.h"

namespace mellow::rl {

using nn::Values;

// [d_model + 1]: sum_i d_values[i] h[i], the gradient of the weight, and sum_i d_values[i], that of
// the bias. On the CPU `lengths` cut the rows into sequences; each is summed by itself, and the
// sums as sum_tree.h has it.
[[nodiscard]] at::Tensor ValueGradient(const at::Tensor& hidden, const at::Tensor& d_values,
                                       const std::vector<int64_t>& lengths);

// [n, d_model]: d_logprobs[i] jacobian[i] + d_values[i] w, the gradient of the hidden states. In
// place of the jacobian.
[[nodiscard]] at::Tensor HiddenGradient(at::Tensor jacobian, const at::Tensor& d_logprobs,
                                        const at::Tensor& d_values, const at::Tensor& weight);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_VALUE_MATH_H_
