// The vectors come first: the kernels are written with them.
// clang-format off
#include "common/nn/kernels/simd_generic.h"
#include "common/nn/kernels/table_of_isa.h"
// clang-format on

namespace mellow::nn::kernels {

constexpr KernelTable kGenericKernels = TableOf(Isa::kGeneric, "generic");

}  // namespace mellow::nn::kernels
