// The vectors come first: the kernels are written with them.
// clang-format off
#include "common/nn/kernels/simd_avx2.h"
#include "common/nn/kernels/table_of_isa.h"
// clang-format on

namespace mellow::nn::kernels {

constexpr KernelTable kAvx2Kernels = TableOf(Isa::kAvx2, "avx2");

}  // namespace mellow::nn::kernels
