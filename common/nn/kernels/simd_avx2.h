// Vectors of 8 floats with AVX2, FMA and F16C. Included only by kernels_avx2.cc.
#ifndef MELLOW_COMMON_NN_KERNELS_SIMD_AVX2_H_
#define MELLOW_COMMON_NN_KERNELS_SIMD_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace mellow::nn::kernels {
namespace {

constexpr int kLanes = 8;
constexpr int kTileRows = 6;  // 6 x 2 accumulators, 2 of the panel and 1 of x fill the 16 registers

using Vec = __m256;

inline Vec Zero() { return _mm256_setzero_ps(); }
inline Vec Set1(float x) { return _mm256_set1_ps(x); }
inline Vec Load(const float* p) { return _mm256_loadu_ps(p); }
inline void Store(float* p, Vec v) { _mm256_storeu_ps(p, v); }

inline __m256i TailMask(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}
// The first n < kLanes elements; the rest reads as zero and is not touched.
inline Vec LoadTail(const float* p, int n) { return _mm256_maskload_ps(p, TailMask(n)); }
inline void StoreTail(float* p, int n, Vec v) { _mm256_maskstore_ps(p, TailMask(n), v); }
// v with the lanes from n on replaced by those of `other`.
inline Vec BlendTail(Vec v, int n, Vec other) {
  return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(TailMask(n)));
}

inline Vec Add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec Sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec Mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec Div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
// Both return b when either is NaN.
inline Vec Min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec Max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec Round(Vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec Abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline Vec CopySign(Vec magnitude, Vec sign) {
  const Vec bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}
// 2^n for integral n in [-126, 127].
inline Vec Pow2(Vec n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

// v, with 0 in the lanes where a < b.
inline Vec ZeroWhereLess(Vec a, Vec b, Vec v) {
  return _mm256_and_ps(v, _mm256_cmp_ps(a, b, _CMP_NLT_UQ));
}

inline float ReduceAdd(Vec v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float ReduceMax(Vec v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

// Integers: of int8 products. A vector of them is the sums of kLanes columns.
using IntVec = __m256i;
constexpr int kInt8TileRows = 4;  // 4 x 2 sums, 2 of the panel, 3 of x, a constant and a term

inline IntVec LoadInt8Groups(const int8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline IntVec FirstSum(const int32_t*) { return _mm256_setzero_si256(); }
inline Vec ToFloat(IntVec v) { return _mm256_cvtepi32_ps(v); }
// One group of a row of x, for all columns.
struct Int8Group {
  __m256i value;
  __m256i magnitude;
};
inline Int8Group Broadcast(const int8_t* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  const __m256i value = _mm256_set1_epi32(group);
  return {value, _mm256_abs_epi8(value)};
}
// sum + the dot product of x with each column's group. The multiplication wants one side without a
// sign: x's goes to w. A pair of products is at most 2 * 127 * 127 and fits its 16 bits.
inline IntVec Dot(const Int8Group& x, IntVec w, IntVec sum) {
  const __m256i pairs = _mm256_maddubs_epi16(x.magnitude, _mm256_sign_epi8(w, x.value));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

struct Float32Panel {
  using Element = float;
  static inline Vec Get(const float* p) { return Load(p); }
};
struct BFloat16Panel {
  using Element = uint16_t;
  static inline Vec Get(const uint16_t* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
};
struct Float16Panel {
  using Element = uint16_t;
  static inline Vec Get(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
};

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_SIMD_AVX2_H_
