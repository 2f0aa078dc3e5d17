// Vectors of 16 floats with AVX-512 F, BW, DQ and VL. Included only by kernels_avx512.cc.
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

struct Float32Panel {
  using Element = float;
  static inline Vec Get(const float* p) { return Load(p); }
};
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
struct Int8Panel {
  using Element = int8_t;
  static inline Vec Get(const int8_t* p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
};

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_SIMD_AVX512_H_
