// Rows of x rounded to bfloat16. Included by the kernels_*.cc files only.
#ifndef MELLOW_COMMON_NN_KERNELS_BFLOAT16_ROWS_H_
#define MELLOW_COMMON_NN_KERNELS_BFLOAT16_ROWS_H_

#include <cstdint>
#include <cstring>

namespace mellow::nn::kernels {
namespace {

// The bits of x to the nearest bfloat16, ties to even, the lower half zero. What is under 2^-40
// becomes zero: no product of two numbers that are left, nor a sum of such products, is subnormal,
// which VDPBF16PS takes for zero and other instructions do not.
inline uint32_t BFloat16Bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const uint32_t nan = bits | 0x400000u;
  return (magnitude > 0x7f800000u ? nan : magnitude < 0x2b800000u ? 0u : rounded) & 0xffff0000u;
}

#if defined(__AVX512BF16__)
constexpr bool kBFloat16Pairs = true;

// y[(n + 1) / 2], each the pair of x[2 i] (upper half: VDPBF16PS adds its product first) and
// x[2 i + 1].
void RoundRow(const float* x, int n, float* y) {
  for (int i = 0; i < n / 2; ++i) {
    const uint32_t pair = BFloat16Bits(x[2 * i]) | BFloat16Bits(x[2 * i + 1]) >> 16;
    std::memcpy(y + i, &pair, sizeof(pair));
  }
  if (n % 2 != 0) {
    const uint32_t pair = BFloat16Bits(x[n - 1]);
    std::memcpy(y + n / 2, &pair, sizeof(pair));
  }
}
#else
constexpr bool kBFloat16Pairs = false;

// y[n], each a float.
void RoundRow(const float* x, int n, float* y) {
  for (int i = 0; i < n; ++i) {
    const uint32_t bits = BFloat16Bits(x[i]);
    std::memcpy(y + i, &bits, sizeof(bits));
  }
}
#endif

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_BFLOAT16_ROWS_H_
