// Rows of x rounded to bfloat16. Included by the kernels_*.cc files only.
#ifndef MELLOW_COMMON_NN_KERNELS_BFLOAT16_ROWS_H_
#define MELLOW_COMMON_NN_KERNELS_BFLOAT16_ROWS_H_

#include <cstdint>
#include <cstring>

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {
namespace {

// The bits of x to the nearest bfloat16, ties to even, the lower half zero. What is under 2^-40
// becomes zero: no product of two numbers that are left, nor a sum of such products, is subnormal,
// which VDPBF16PS and AMX take for zero and other instructions do not.
inline uint32_t BFloat16Bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const uint32_t nan = bits | 0x400000u;
  return (magnitude > 0x7f800000u ? nan : magnitude < 0x2b800000u ? 0u : rounded) & 0xffff0000u;
}

#if defined(__AVX512BF16__)
// VDPBF16PS adds the product of the upper halves to a sum, then that of the lower halves: with
// pairs of every second k it sums even and odd k apart.
constexpr BFloat16Layout kBFloat16Layout = BFloat16Layout::kPairsApart;
constexpr int kBFloat16Multiple = 4;

inline void RoundRow(const float* x, int n, float* y) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int j = 0; j < 2; ++j) {
      const uint32_t pair = BFloat16Bits(x[i + j]) | BFloat16Bits(x[i + j + 2]) >> 16;
      std::memcpy(y + i / 2 + j, &pair, sizeof(pair));
    }
  }
  if (i == n) return;
  for (int j = 0; j < 2; ++j) {
    const uint32_t pair = (i + j < n ? BFloat16Bits(x[i + j]) : 0u) |
                          (i + j + 2 < n ? BFloat16Bits(x[i + j + 2]) >> 16 : 0u);
    std::memcpy(y + i / 2 + j, &pair, sizeof(pair));
  }
}
#else
constexpr BFloat16Layout kBFloat16Layout = BFloat16Layout::kSingle;
constexpr int kBFloat16Multiple = 1;

inline void RoundRow(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) {
    const uint32_t bits = BFloat16Bits(x[i]);
    std::memcpy(y + i, &bits, sizeof(bits));
  }
}
#endif

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_BFLOAT16_ROWS_H_
