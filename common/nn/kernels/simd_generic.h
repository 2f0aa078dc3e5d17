// Vectors of 4 floats in plain C++ with GCC's vector extension (SSE2 on x86-64, NEON on ARM).
// Included only by kernels_generic.cc.
#ifndef MELLOW_COMMON_NN_KERNELS_SIMD_GENERIC_H_
#define MELLOW_COMMON_NN_KERNELS_SIMD_GENERIC_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace mellow::nn::kernels {
namespace {

constexpr int kLanes = 4;
constexpr int kTileRows = 4;

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t IntVec __attribute__((vector_size(16)));

inline Vec Set1(float x) { return Vec{x, x, x, x}; }
inline Vec Zero() { return Set1(0); }
inline Vec Load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline void Store(float* p, Vec v) { std::memcpy(p, &v, sizeof(v)); }
// The first n < kLanes elements; the rest reads as zero and is not touched.
inline Vec LoadTail(const float* p, int n) {
  Vec v = Zero();
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
inline void StoreTail(float* p, int n, Vec v) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}
// v with the lanes from n on replaced by those of `other`.
inline Vec BlendTail(Vec v, int n, Vec other) {
  for (int i = n; i < kLanes; ++i) v[i] = other[i];
  return v;
}

inline Vec Add(Vec a, Vec b) { return a + b; }
inline Vec Sub(Vec a, Vec b) { return a - b; }
inline Vec Mul(Vec a, Vec b) { return a * b; }
inline Vec Div(Vec a, Vec b) { return a / b; }
// Rounded once, so that the results are those of the other instruction sets to the bit. The product
// of two floats is exact in double; the sum is rounded to odd there (Boldo and Melquiond, Emulation
// of FMA and correctly rounded sums, 2008), after which rounding to float is right.
inline Vec Fma(Vec a, Vec b, Vec c) {
  typedef double DoubleVec __attribute__((vector_size(32)));
  typedef int64_t LongVec __attribute__((vector_size(32)));
  const DoubleVec product =
      __builtin_convertvector(a, DoubleVec) * __builtin_convertvector(b, DoubleVec);
  const DoubleVec addend = __builtin_convertvector(c, DoubleVec);
  const DoubleVec sum = product + addend;
  const DoubleVec part = sum - product;
  const DoubleVec error = (product - (sum - part)) + (addend - part);  // exact; NaN for infinities
  LongVec bits = reinterpret_cast<LongVec>(sum);
  const LongVec inexact = (error < 0.0) | (error > 0.0);
  const LongVec even = (bits & 1) == 0;
  const LongVec away = ~((error > 0.0) ^ (sum > 0.0));  // from zero
  bits += inexact & even & ((away & 2) - 1);
  return __builtin_convertvector(reinterpret_cast<DoubleVec>(bits), Vec);
}
// Both return b when either is NaN.
inline Vec Min(Vec a, Vec b) { return a < b ? a : b; }
inline Vec Max(Vec a, Vec b) { return a > b ? a : b; }
// To the nearest integer, for |a| < 2^22.
inline Vec Round(Vec a) {
  const Vec shift = Set1(12582912.0f);  // 1.5 * 2^23: the sum has no room for a fraction
  return (a + shift) - shift;
}
inline Vec FromBits(IntVec bits) { return reinterpret_cast<Vec>(bits); }
inline IntVec Bits(Vec v) { return reinterpret_cast<IntVec>(v); }
inline Vec Abs(Vec a) { return FromBits(Bits(a) & 0x7fffffff); }
inline Vec CopySign(Vec magnitude, Vec sign) {
  return FromBits((Bits(magnitude) & 0x7fffffff) | (Bits(sign) & (-0x7fffffff - 1)));
}
// 2^n for integral n in [-126, 127].
inline Vec Pow2(Vec n) { return FromBits((__builtin_convertvector(n, IntVec) + 127) << 23); }

// v, with 0 in the lanes where a < b.
inline Vec ZeroWhereLess(Vec a, Vec b, Vec v) { return a < b ? Zero() : v; }

inline float ReduceAdd(Vec v) { return (v[0] + v[2]) + (v[1] + v[3]); }
inline float ReduceMax(Vec v) {
  const float a = v[0] > v[2] ? v[0] : v[2];
  const float b = v[1] > v[3] ? v[1] : v[3];
  return a > b ? a : b;
}

// int8 products. A vector of integers is the sums of kLanes columns.
constexpr int kInt8TileRows = 2;
struct Int8Groups {
  int8_t of[kLanes][4];
};
inline Int8Groups LoadInt8Groups(const int8_t* p) {
  Int8Groups groups;
  std::memcpy(&groups, p, sizeof(groups));
  return groups;
}
inline IntVec FirstSum(const int32_t*) { return IntVec{0, 0, 0, 0}; }
inline Vec ToFloat(IntVec v) { return __builtin_convertvector(v, Vec); }
// One group of a row of x, for all columns.
using Int8Group = const int8_t*;
inline Int8Group Broadcast(const int8_t* p) { return p; }
// sum + the dot product of x with each column's group.
inline IntVec Dot(Int8Group x, const Int8Groups& w, IntVec sum) {
  for (int j = 0; j < kLanes; ++j)
    sum[j] += x[0] * w.of[j][0] + x[1] * w.of[j][1] + x[2] * w.of[j][2] + x[3] * w.of[j][3];
  return sum;
}

struct Float32Panel {
  using Element = float;
  static inline Vec Get(const float* p) { return Load(p); }
};
struct BFloat16Panel {
  using Element = uint16_t;
  static inline Vec Get(const uint16_t* p) {
    const IntVec wide = {p[0], p[1], p[2], p[3]};
    return FromBits(wide << 16);
  }
};
struct Float16Panel {
  using Element = uint16_t;
  static inline float One(uint16_t half) {
    const uint32_t sign = uint32_t{half & 0x8000u} << 16;
    const uint32_t exponent = (half >> 10) & 0x1f;
    const uint32_t mantissa = half & 0x3ff;
    if (exponent == 0) {
      const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
      return sign ? -magnitude : magnitude;
    }
    const uint32_t bits =
        sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (mantissa << 13);
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  static inline Vec Get(const uint16_t* p) {
    return Vec{One(p[0]), One(p[1]), One(p[2]), One(p[3])};
  }
};

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_SIMD_GENERIC_H_
