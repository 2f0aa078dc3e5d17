#include "common/nn/kernels/kernel_table.h"

#if defined(MELLOW_X86_KERNELS)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "common/nn/kernels/isa_tables.h"
#include "common/nn/kernels/packed_matrix.h"
#include "common/nn/kernels/thread_pool.h"

namespace mellow::nn::kernels {

#if defined(MELLOW_X86_KERNELS)
namespace {

// clang 14's __builtin_cpu_supports does not know it.
bool HasF16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// VDPBF16PS and TDPBF16PS are described by their makers, not by a standard, and a wrong bit here is
// a run that cannot be repeated: they are tried against the generic path before they are used.
bool SameBitsAsGeneric(const KernelTable& table) {
  constexpr int kOut = 40, kRows = 37;
  ThreadPool pool(1);
  uint32_t state = 1;
  const auto number = [&state] {  // of many magnitudes, so that sums are rounded
    state = state * 1664525u + 1013904223u;
    const auto mantissa = static_cast<float>(static_cast<int32_t>(state >> 8) - (1 << 23));
    return std::ldexp(mantissa, -23 - static_cast<int>(state >> 4 & 15));
  };
  for (const int in : {600, 1100}) {  // less than a block of either format, and more
    std::vector<float> w(kOut * in), x(kRows * in);
    for (float& value : w) value = number();
    for (float& value : x) value = number();
    for (const PanelFormat format : {PanelFormat::kBFloat16, PanelFormat::kInt8}) {
      std::vector<float> products[2];
      const KernelTable* const tables[] = {&table, &kGenericKernels};
      for (int i = 0; i < 2; ++i) {
        const PackedMatrix packed(
            *tables[i], kOut, in, format,
            [&](int64_t row, float* to) { std::copy_n(w.data() + row * in, in, to); }, &pool);
        products[i].resize(kRows * kOut);
        MatMul(*tables[i], &pool, packed, {x.data(), in}, kRows, {products[i].data(), kOut});
      }
      if (std::memcmp(products[0].data(), products[1].data(), sizeof(float) * kRows * kOut) != 0)
        return false;
    }
  }
  return true;
}

bool HasAvx512Bf16() {
  static const bool has = HasAvx512() && __builtin_cpu_supports("avx512vnni") &&
                          __builtin_cpu_supports("avx512bf16") &&
                          SameBitsAsGeneric(kAvx512Bf16Kernels);
  return has;
}

// Linux lets a process use the tiles' registers, in all of its threads, when it has asked.
bool MayUseTiles() {
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  constexpr unsigned kWanted = kAmxBf16 | kAmxTile | kAmxInt8;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kWanted) != kWanted) return false;
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // of asm/prctl.h, Linux 5.16
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool HasAmx() {
  static const bool has = HasAvx512Bf16() && MayUseTiles() && SameBitsAsGeneric(AmxKernels());
  return has;
}

}  // namespace
#endif

const KernelTable* KernelsFor(Isa isa) {
#if defined(MELLOW_X86_KERNELS)
  if (isa == Isa::kAvx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      HasF16c()) {
    return &kAvx2Kernels;
  }
  if (isa == Isa::kAvx512 && HasAvx512()) return &kAvx512Kernels;
  if (isa == Isa::kAvx512Bf16 && HasAvx512Bf16()) return &kAvx512Bf16Kernels;
  if (isa == Isa::kAmx && HasAmx()) return &AmxKernels();
#endif
  return isa == Isa::kGeneric ? &kGenericKernels : nullptr;
}

namespace {

const KernelTable& Choose() {
  const char* const wish = std::getenv("MELLOW_ISA");
  const std::string_view name = wish == nullptr ? "" : wish;
  // What is not wished for is not tried either.
  constexpr std::pair<Isa, std::string_view> kBestFirst[] = {{Isa::kAmx, "amx"},
                                                             {Isa::kAvx512Bf16, "avx512_bf16"},
                                                             {Isa::kAvx512, "avx512"},
                                                             {Isa::kAvx2, "avx2"}};
  for (const auto& [isa, isa_name] : kBestFirst) {
    if (!name.empty() && name != isa_name) continue;
    if (const KernelTable* const table = KernelsFor(isa)) return *table;
  }
  return kGenericKernels;
}

}  // namespace

const KernelTable& Kernels() {
  static const KernelTable& chosen = Choose();
  return chosen;
}

}  // namespace mellow::nn::kernels
