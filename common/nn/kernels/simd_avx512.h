// Vectors of 16 floats with AVX-512 F, BW, DQ and VL, and dot products of bytes and of bfloat16
// where the compiler may use VNNI and BF16. Included only by kernels_avx512.cc,
// kernels_avx512_bf16.cc and kernels_amx.cc.
#ifndef MELLOW_COMMON_NN_KERNELS_SIMD_AVX512_H_
#define MELLOW_COMMON_NN_KERNELS_SIMD_AVX512_H_

#include <immintrin.h>

#include <cstdint>

namespace mellow::nn::kernels {
namespace {

constexpr int kLanes = 16;
constexpr int kTileRows =
    14;  // 14 x 2 accumulators and 2 of the panel; x comes as an embedded broadcast

using Vec = __m512;

inline Vec Zero() { return _mm512_setzero_ps(); }
inline Vec Set1(float x) { return _mm512_set1_ps(x); }
inline Vec Load(const float* p) { return _mm512_loadu_ps(p); }
inline void Store(float* p, Vec v) { _mm512_storeu_ps(p, v); }

inline __mmask16 TailMask(int n) { return static_cast<__mmask16>((1u << n) - 1); }
// The first n < kLanes elements; the rest reads as zero and is not touched.
inline Vec LoadTail(const float* p, int n) { return _mm512_maskz_loadu_ps(TailMask(n), p); }
inline void StoreTail(float* p, int n, Vec v) { _mm512_mask_storeu_ps(p, TailMask(n), v); }
// v with the lanes from n on replaced by those of `other`.
inline Vec BlendTail(Vec v, int n, Vec other) {
  return _mm512_mask_blend_ps(TailMask(n), other, v);
}

inline Vec Add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec Sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec Mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec Div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
// Both return b when either is NaN.
inline Vec Min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec Max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec Round(Vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec Abs(Vec a) { return _mm512_abs_ps(a); }
inline Vec CopySign(Vec magnitude, Vec sign) {
  const Vec bit = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
}
// 2^n for integral n in [-126, 127].
inline Vec Pow2(Vec n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

// v, with 0 in the lanes where a < b.
inline Vec ZeroWhereLess(Vec a, Vec b, Vec v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), v);
}

// In halves, as the other instruction sets: the intrinsic's own order is the compiler's.
inline float ReduceAdd(Vec v) {
  const __m256 e = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float ReduceMax(Vec v) { return _mm512_reduce_max_ps(v); }

// Integers: of int8 products. A vector of them is the sums of kLanes columns.
using IntVec = __m512i;
constexpr int kInt8TileRows = 12;  // 12 x 2 sums, 2 of the panel, 2 of x, a constant and a term

inline IntVec LoadInt8Groups(const int8_t* p) { return _mm512_loadu_si512(p); }
inline Vec ToFloat(IntVec v) { return _mm512_cvtepi32_ps(v); }
#if defined(__AVX512VNNI__)
// VPDPBUSD wants x without a sign: it is shifted by 128, and the sums start 128 columns' sums
// lower.
inline IntVec FirstSum(const int32_t* column_sums) {
  return _mm512_slli_epi32(
      _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(column_sums)), 7);
}
struct Int8Group {
  __m512i shifted;
};
inline Int8Group Broadcast(const int8_t* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return {_mm512_set1_epi32(group ^ static_cast<int32_t>(0x80808080u))};
}
// sum + the dot product of x with each column's group.
inline IntVec Dot(const Int8Group& x, IntVec w, IntVec sum) {
  return _mm512_dpbusd_epi32(sum, x.shifted, w);
}
#else
inline IntVec FirstSum(const int32_t*) { return _mm512_setzero_si512(); }
// One group of a row of x, for all columns.
struct Int8Group {
  __m512i magnitude;
  __mmask64 negative;
};
inline Int8Group Broadcast(const int8_t* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  const __m512i value = _mm512_set1_epi32(group);
  return {_mm512_abs_epi8(value), _mm512_movepi8_mask(value)};
}
// sum + the dot product of x with each column's group. The multiplication wants one side without a
// sign: x's goes to w. A pair of products is at most 2 * 127 * 127 and fits its 16 bits.
inline IntVec Dot(const Int8Group& x, IntVec w, IntVec sum) {
  const __m512i signed_w = _mm512_mask_sub_epi8(w, x.negative, _mm512_setzero_si512(), w);
  const __m512i pairs = _mm512_maddubs_epi16(x.magnitude, signed_w);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

struct Float32Panel {
  using Element = float;
  static inline Vec Get(const float* p) { return Load(p); }
};
#if defined(__AVX512BF16__)
// Lanes are pairs of bfloat16 in the place of one float: only moved until DotPairs takes them.
struct BFloat16PairPanel {
  using Element = float;
  static inline Vec Get(const float* p) { return Load(p); }
};
// acc + the products of the upper halves, + those of the lower halves; both exact, both sums
// rounded to nearest even.
inline Vec DotPairs(Vec a, Vec w, Vec acc) {
  return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(w));
}
#endif
struct BFloat16Panel {
  using Element = uint16_t;
  static inline Vec Get(const uint16_t* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
};
struct Float16Panel {
  using Element = uint16_t;
  static inline Vec Get(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
};

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_SIMD_AVX512_H_
