// The vectors come first: the kernels are written with them.
// clang-format off
#include "common/nn/kernels/simd_avx512.h"
#include "common/nn/kernels/table_of_isa.h"
// clang-format on

namespace mellow::nn::kernels {

constexpr KernelTable kAvx512Bf16Kernels = TableOf(Isa::kAvx512Bf16, "avx512_bf16");

}  // namespace mellow::nn::kernels
