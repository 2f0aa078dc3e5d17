#ifndef MELLOW_TESTS_COMMON_NN_KERNELS_ISA_NAMES_H_
#define MELLOW_TESTS_COMMON_NN_KERNELS_ISA_NAMES_H_

#include <gtest/gtest.h>

#include <string>

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {

// Parameters of tests over all kernels; a test skips what its CPU lacks.
inline constexpr Isa kEveryIsa[] = {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16,
                                    Isa::kAmx};

inline std::string NameOf(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return "Generic";
    case Isa::kAvx2:
      return "Avx2";
    case Isa::kAvx512:
      return "Avx512";
    case Isa::kAvx512Bf16:
      return "Avx512Bf16";
    case Isa::kAmx:
      return "Amx";
  }
  return "";
}

inline std::string IsaName(const testing::TestParamInfo<Isa>& info) { return NameOf(info.param); }

}  // namespace mellow::nn::kernels

#endif  // MELLOW_TESTS_COMMON_NN_KERNELS_ISA_NAMES_H_
