#ifndef MELLOW_COMMON_NN_KERNELS_ISA_TABLES_H_
#define MELLOW_COMMON_NN_KERNELS_ISA_TABLES_H_

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {

// One per kernels_*.cc. Calling into one that the CPU lacks is an illegal instruction: go through
// Kernels(). All but the first are there where the build defines MELLOW_X86_KERNELS.
extern const KernelTable kGenericKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512Bf16Kernels;
const KernelTable& AmxKernels();

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ISA_TABLES_H_
