// The vectors come first: the kernels are written with them.
// clang-format off
#include "common/nn/kernels/simd_avx512.h"
#include "common/nn/kernels/table_of_isa.h"
// clang-format on

namespace mellow::nn::kernels {

constexpr KernelTable kAvx512Kernels = TableOf(Isa::kAvx512, "avx512");

}  // namespace mellow::nn::kernels
