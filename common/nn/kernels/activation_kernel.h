// Activations of floats in a row. Included by the kernels_*.cc files only, after vector_math.h.
#ifndef MELLOW_COMMON_NN_KERNELS_ACTIVATION_KERNEL_H_
#define MELLOW_COMMON_NN_KERNELS_ACTIVATION_KERNEL_H_

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {
namespace {

template <class F>
inline void ActivateWith(float* x, int n) {
  ForEach(x, n, [&](Vec v, int i, int lanes) { StoreN(x + i, lanes, F::Apply(v)); });
}
void Activate(Activation activation, float* x, int n) {
  switch (activation) {
    case Activation::kRelu:
      return ActivateWith<Relu>(x, n);
    case Activation::kGeluTanh:
      return ActivateWith<GeluTanh>(x, n);
    case Activation::kGeluErf:
      return ActivateWith<GeluErf>(x, n);
    case Activation::kSilu:
      return ActivateWith<Silu>(x, n);
  }
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ACTIVATION_KERNEL_H_
