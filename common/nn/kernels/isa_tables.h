#ifndef MELLOW_COMMON_NN_KERNELS_ISA_TABLES_H_
#define MELLOW_COMMON_NN_KERNELS_ISA_TABLES_H_

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {

// One per kernels_*.cc. Calling into one that the CPU lacks is an illegal instruction: go through
// Kernels().
extern const KernelTable kGenericKernels;
extern const KernelTable kAvx2Kernels;        // x86-64 only
extern const KernelTable kAvx512Kernels;      // x86-64 only
extern const KernelTable kAvx512Bf16Kernels;  // x86-64 only
const KernelTable& AmxKernels();              // x86-64 only

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ISA_TABLES_H_
