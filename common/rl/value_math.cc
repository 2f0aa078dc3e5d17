#include "common/rl/value_math.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "common/base/sum_tree.h"

namespace mellow::rl {

at::Tensor ValueGradient(const at::Tensor& hidden, const at::Tensor& d_values,
                         const std::vector<int64_t>& lengths) {
  const at::NoGradGuard no_grad;
  if (!hidden.is_cpu()) return at::cat({at::mv(hidden.t(), d_values), d_values.sum().view({1})});
  const auto d = static_cast<size_t>(hidden.size(1));
  const at::Tensor states = hidden.contiguous();
  const float* const h = states.const_data_ptr<float>();
  const float* const dv = d_values.const_data_ptr<float>();
  std::vector<size_t> offsets = {0};
  for (const int64_t length : lengths)
    offsets.push_back(offsets.back() + static_cast<size_t>(length));
  std::vector<std::vector<float>> slots(static_cast<size_t>(SumTreeSlots(lengths.size())),
                                        std::vector<float>(d + 1));
  const auto sequence = [&](size_t first, size_t last, int slot) {
    if (last - first > 1) return false;
    std::vector<double> sums(d + 1);
    for (size_t i = offsets[first]; i < offsets[last]; ++i) {
      for (size_t j = 0; j < d; ++j) sums[j] += double{dv[i]} * h[i * d + j];
      sums[d] += dv[i];
    }
    std::copy(sums.begin(), sums.end(), slots[static_cast<size_t>(slot)].begin());
    return true;
  };
  const auto add = [&](int slot) {
    const std::vector<float>& more = slots[static_cast<size_t>(slot) + 1];
    for (size_t j = 0; j <= d; ++j) slots[static_cast<size_t>(slot)][j] += more[j];
  };
  SumTree(size_t{0}, lengths.size(), 0, sequence, add);
  at::Tensor out = at::empty({static_cast<int64_t>(d) + 1}, at::kFloat);
  std::copy(slots[0].begin(), slots[0].end(), out.mutable_data_ptr<float>());
  return out;
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
