#include "common/nn/kernels/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <string_view>

#include "common/nn/kernels/isa_tables.h"

namespace mellow::nn::kernels {

#if defined(__x86_64__)
namespace {

// clang 14's __builtin_cpu_supports does not know it.
bool HasF16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

}  // namespace
#endif

const KernelTable* KernelsFor(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      HasF16c()) {
    return &kAvx2Kernels;
  }
  if (isa == Isa::kAvx512 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return &kAvx512Kernels;
  }
#endif
  return isa == Isa::kGeneric ? &kGenericKernels : nullptr;
}

namespace {

const KernelTable& Choose() {
  const char* const wish = std::getenv("MELLOW_ISA");
  const std::string_view name = wish == nullptr ? "" : wish;
  for (Isa isa : {Isa::kAvx512, Isa::kAvx2}) {
    const KernelTable* const table = KernelsFor(isa);
    if (table != nullptr && (name.empty() || name == table->name)) return *table;
  }
  return kGenericKernels;
}

}  // namespace

const KernelTable& Kernels() {
  static const KernelTable& chosen = Choose();
  return chosen;
}

}  // namespace mellow::nn::kernels
