// Rows by vectors; exp, erf and activations of vectors. Included by the kernels_*.cc files only,
// after their simd_*.h.
#ifndef MELLOW_COMMON_NN_KERNELS_VECTOR_MATH_H_
#define MELLOW_COMMON_NN_KERNELS_VECTOR_MATH_H_

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {
namespace {

// Calls body(vector, index, lanes) for the whole vectors of x[0, n) and, with fewer lanes and zeros
// behind them, its tail.
template <class Body>
inline void ForEach(const float* x, int n, Body body) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) body(Load(x + i), i, kLanes);
  if (i < n) body(LoadTail(x + i, n - i), i, n - i);
}

inline Vec LoadN(const float* p, int n) { return n == kLanes ? Load(p) : LoadTail(p, n); }
inline void StoreN(float* p, int n, Vec v) {
  if (n == kLanes) {
    Store(p, v);
  } else {
    StoreTail(p, n, v);
  }
}

// e^x within 2 units in the last place. Below -87.33 it is 0 (what would be subnormal, and
// -infinity); above 88.37 it stays at the largest result instead of going to infinity. NaN stays
// NaN.
inline Vec Exp(Vec x) {
  const Vec lowest = Set1(-87.33f);
  const Vec original = x;
  x = Max(lowest, Min(Set1(88.37f), x));
  // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first with few enough bits for n *
  // part to be exact.
  const Vec n = Round(Mul(x, Set1(1.44269504f)));
  Vec r = Fma(n, Set1(-0.693359375f), x);
  r = Fma(n, Set1(2.12194440e-4f), r);
  // e^r = 1 + r + r^2 P(r); P by least squares at Chebyshev nodes, error 3.5e-9.
  Vec p = Set1(0.0013947606f);
  p = Fma(p, r, Set1(0.008369873f));
  p = Fma(p, r, Set1(0.041666247f));
  p = Fma(p, r, Set1(0.16666509f));
  p = Fma(p, r, Set1(0.5f));
  return ZeroWhereLess(original, lowest, Mul(Add(Fma(Mul(r, r), p, r), Set1(1.0f)), Pow2(n)));
}

// erf(x) within 2e-7: 1 - t P(t) exp(-x^2) with t = 1 / (1 + 0.4 |x|); P by least squares at
// Chebyshev nodes of t, x in [0, 4.2], error 7e-10; what is left is rounding.
inline Vec Erf(Vec x) {
  const Vec a = Min(Set1(4.2f), Abs(x));
  const Vec t = Div(Set1(1.0f), Fma(Set1(0.4f), a, Set1(1.0f)));
  Vec p = Set1(0.07857379f);
  p = Fma(p, t, Set1(-0.41434646f));
  p = Fma(p, t, Set1(0.72260225f));
  p = Fma(p, t, Set1(-0.41368923f));
  p = Fma(p, t, Set1(0.43262935f));
  p = Fma(p, t, Set1(0.13148844f));
  p = Fma(p, t, Set1(0.23789099f));
  p = Fma(p, t, Set1(0.22485085f));
  const Vec tail = Mul(Mul(p, t), Exp(Mul(Sub(Zero(), a), a)));
  return CopySign(Sub(Set1(1.0f), tail), x);
}

// An activation f as a value, and with its slope for the backward pass.
struct ValueAndSlope {
  Vec value;
  Vec slope;
};

struct Relu {
  static inline Vec Apply(Vec x) { return Max(Zero(), x); }
  // The slope at 0 is 0, as in torch.
  static inline ValueAndSlope Both(Vec x) {
    return {Apply(x), Sub(Set1(1.0f), ZeroWhereLess(Zero(), x, Set1(1.0f)))};
  }
};
// x * sigmoid(2 u), which is x / 2 * (1 + tanh(u)) without its cancellation for negative u;
// u = sqrt(2 / pi) * (x + 0.044715 x^3).
struct GeluTanh {
  static inline Vec Apply(Vec x) {
    const Vec cubic = Fma(Mul(Mul(x, x), x), Set1(0.044715f), x);
    return Div(x, Add(Set1(1.0f), Exp(Mul(cubic, Set1(-1.5957691216f)))));
  }
  // With s = sigmoid(2 u): f = x s, f' = s + x s (1 - s) 2 u'.
  static inline ValueAndSlope Both(Vec x) {
    const Vec square = Mul(x, x);
    const Vec s = Div(
        Set1(1.0f),
        Add(Set1(1.0f), Exp(Mul(Fma(Mul(square, x), Set1(0.044715f), x), Set1(-1.5957691216f)))));
    const Vec du = Mul(Fma(square, Set1(0.134145f), Set1(1.0f)), Set1(1.5957691216f));
    const Vec value = Mul(x, s);
    return {value, Fma(Mul(value, Sub(Set1(1.0f), s)), du, s)};
  }
};
struct GeluErf {
  static inline Vec Apply(Vec x) {
    const Vec phi = Add(Set1(1.0f), Erf(Mul(x, Set1(0.70710678f))));
    return Mul(Mul(x, Set1(0.5f)), phi);
  }
  // f' = Phi(x) + x phi(x), of the normal distribution.
  static inline ValueAndSlope Both(Vec x) {
    const Vec cumulative = Mul(Set1(0.5f), Add(Set1(1.0f), Erf(Mul(x, Set1(0.70710678f)))));
    const Vec density = Mul(Exp(Mul(Mul(x, Set1(-0.5f)), x)), Set1(0.39894228f));
    return {Mul(x, cumulative), Fma(x, density, cumulative)};
  }
};
struct Silu {
  static inline Vec Apply(Vec x) { return Div(x, Add(Set1(1.0f), Exp(Sub(Zero(), x)))); }
  static inline ValueAndSlope Both(Vec x) {
    const Vec s = Div(Set1(1.0f), Add(Set1(1.0f), Exp(Sub(Zero(), x))));
    const Vec value = Mul(x, s);
    return {value, Fma(value, Sub(Set1(1.0f), s), s)};
  }
};

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_VECTOR_MATH_H_
