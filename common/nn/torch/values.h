#ifndef MELLOW_COMMON_NN_TORCH_VALUES_H_
#define MELLOW_COMMON_NN_TORCH_VALUES_H_

#include <ATen/ATen.h>

namespace mellow::nn {

// The value head on hidden states [n, d_model]: [n], without autograd; on the CPU the bits of
// ValueOf. weight: [d_model]; bias: [1].
[[nodiscard]] at::Tensor Values(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& bias);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_VALUES_H_
