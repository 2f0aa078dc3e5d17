// Kernels over one row of floats. Included by the kernels_*.cc files only, after
// activation_kernel.h.
#ifndef MELLOW_COMMON_NN_KERNELS_ROW_KERNELS_H_
#define MELLOW_COMMON_NN_KERNELS_ROW_KERNELS_H_

namespace mellow::nn::kernels {
namespace {

// Sums over a row depend on its length alone, not on the instruction set: element i is added to
// partial sum i % 16, in order, and the sixteen are added as a tree of halves. A vector of fewer
// lanes holds a part of them.
constexpr int kSums = 16;
constexpr int kParts = kSums / kLanes;
struct RowSum {
  RowSum() {
#pragma GCC unroll 4
    for (Vec& p : part) p = Zero();
  }
  float Total() const {
    Vec halves[kParts];
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) halves[p] = part[p];
#pragma GCC unroll 2
    for (int count = kParts / 2; count > 0; count /= 2) {
#pragma GCC unroll 2
      for (int p = 0; p < count; ++p) halves[p] = Add(halves[p], halves[p + count]);
    }
    return ReduceAdd(halves[0]);
  }
  Vec part[kParts];
};

// As ForEach, with the partial sum that the vector belongs to: body(vector, index, lanes, &sum).
template <class Body>
inline __attribute__((always_inline)) void ForEachSum(const float* x, int n, RowSum* sum,
                                                      Body body) {
  int i = 0;
  for (; i + kSums <= n; i += kSums) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p)
      body(Load(x + i + p * kLanes), i + p * kLanes, kLanes, &sum->part[p]);
  }
#pragma GCC unroll 4
  for (int p = 0; p < kParts; ++p) {
    const int left = n - i - p * kLanes;
    if (left >= kLanes) {
      body(Load(x + i + p * kLanes), i + p * kLanes, kLanes, &sum->part[p]);
    } else if (left > 0) {
      body(LoadTail(x + i + p * kLanes, left), i + p * kLanes, left, &sum->part[p]);
    }
  }
}

void RmsNorm(const float* x, const float* weight, float eps, int n, float* y) {
  RowSum squares;
  ForEachSum(x, n, &squares, [](Vec v, int, int, Vec* sum) { *sum = Fma(v, v, *sum); });
  const Vec factor = Set1(1.0f / __builtin_sqrtf(squares.Total() / static_cast<float>(n) + eps));
  ForEach(x, n, [&](Vec v, int i, int lanes) {
    StoreN(y + i, lanes, Mul(Mul(v, factor), LoadN(weight + i, lanes)));
  });
}

void LayerNorm(const float* x, const float* weight, const float* bias, float eps, int n, float* y) {
  RowSum values;
  ForEachSum(x, n, &values, [](Vec v, int, int, Vec* sum) { *sum = Add(*sum, v); });
  const Vec mean = Set1(values.Total() / static_cast<float>(n));
  RowSum squares;
  ForEachSum(x, n, &squares, [&](Vec v, int, int lanes, Vec* sum) {
    Vec d = Sub(v, mean);
    if (lanes < kLanes) d = BlendTail(d, lanes, Zero());
    *sum = Fma(d, d, *sum);
  });
  const Vec factor = Set1(1.0f / __builtin_sqrtf(squares.Total() / static_cast<float>(n) + eps));
  ForEach(x, n, [&](Vec v, int i, int lanes) {
    const Vec normed = Mul(Sub(v, mean), factor);
    StoreN(y + i, lanes, Fma(normed, LoadN(weight + i, lanes), LoadN(bias + i, lanes)));
  });
}

inline float Largest(const float* x, int n) {
  Vec largest = Set1(x[0]);
  ForEach(x, n, [&](Vec v, int, int lanes) {
    largest = Max(largest, lanes == kLanes ? v : BlendTail(v, lanes, largest));
  });
  return ReduceMax(largest);
}

void Softmax(float* x, int n) {
  const Vec largest = Set1(Largest(x, n));
  RowSum terms;
  ForEachSum(x, n, &terms, [&](Vec v, int i, int lanes, Vec* sum) {
    const Vec e = Exp(Sub(v, largest));
    StoreN(x + i, lanes, e);
    *sum = Add(*sum, lanes == kLanes ? e : BlendTail(e, lanes, Zero()));
  });
  const Vec factor = Set1(1.0f / terms.Total());
  ForEach(x, n, [&](Vec v, int i, int lanes) { StoreN(x + i, lanes, Mul(v, factor)); });
}

double LogSumExp(const float* x, int n) {
  constexpr int kBlock =
      512;  // fp32 lanes within a block, double across blocks: 32k terms keep 1e-7
  const float top = Largest(x, n);
  const Vec largest = Set1(top);
  double total = 0;
  for (int start = 0; start < n; start += kBlock) {
    const int count = n - start < kBlock ? n - start : kBlock;
    RowSum terms;
    ForEachSum(x + start, count, &terms, [&](Vec v, int, int lanes, Vec* sum) {
      const Vec e = Exp(Sub(v, largest));
      *sum = Add(*sum, lanes == kLanes ? e : BlendTail(e, lanes, Zero()));
    });
    total += terms.Total();
  }
  return top + __builtin_log(total);
}

template <class F>
inline void ActivateGatedWith(const float* gate, const float* linear, int n, float* y) {
  ForEach(gate, n, [&](Vec v, int i, int lanes) {
    StoreN(y + i, lanes, Mul(F::Apply(v), LoadN(linear + i, lanes)));
  });
}

void ActivateGated(Activation activation, const float* gate, const float* linear, int n, float* y) {
  switch (activation) {
    case Activation::kRelu:
      return ActivateGatedWith<Relu>(gate, linear, n, y);
    case Activation::kGeluTanh:
      return ActivateGatedWith<GeluTanh>(gate, linear, n, y);
    case Activation::kGeluErf:
      return ActivateGatedWith<GeluErf>(gate, linear, n, y);
    case Activation::kSilu:
      return ActivateGatedWith<Silu>(gate, linear, n, y);
  }
}

// With r = 1 / sqrt(mean(x^2) + eps) and g = weight * dy: dx = r g - x r^3 sum(g x) / n.
void RmsNormBackward(const float* x, const float* weight, const float* dy, float eps, int n,
                     float* dx) {
  RowSum squares, products;
  ForEachSum(x, n, &squares, [](Vec v, int, int, Vec* sum) { *sum = Fma(v, v, *sum); });
  ForEachSum(x, n, &products, [&](Vec v, int i, int lanes, Vec* sum) {
    *sum = Fma(Mul(LoadN(weight + i, lanes), LoadN(dy + i, lanes)), v, *sum);
  });
  const float count = static_cast<float>(n);
  const float r = 1.0f / __builtin_sqrtf(squares.Total() / count + eps);
  const Vec factor = Set1(r);
  const Vec share = Set1(-(products.Total() * r * r * r / count));
  ForEach(x, n, [&](Vec v, int i, int lanes) {
    const Vec g = Mul(LoadN(weight + i, lanes), LoadN(dy + i, lanes));
    StoreN(dx + i, lanes, Add(LoadN(dx + i, lanes), Fma(v, share, Mul(g, factor))));
  });
}

void SoftmaxBackward(const float* p, int n, float* dx) {
  RowSum products;
  ForEachSum(p, n, &products,
             [&](Vec v, int i, int lanes, Vec* sum) { *sum = Fma(v, LoadN(dx + i, lanes), *sum); });
  const Vec mean = Set1(products.Total());
  ForEach(p, n, [&](Vec v, int i, int lanes) {
    StoreN(dx + i, lanes, Mul(v, Sub(LoadN(dx + i, lanes), mean)));
  });
}

double Probabilities(double log_sum, int n, float* x) {
  constexpr int kBlock = 512;  // as LogSumExp
  // In two parts, so that the rounding of a large log_sum is not that of every probability.
  const float high = static_cast<float>(log_sum);
  const Vec first = Set1(high);
  const Vec rest = Set1(static_cast<float>(log_sum - high));
  double total = 0;
  for (int start = 0; start < n; start += kBlock) {
    const int count = n - start < kBlock ? n - start : kBlock;
    RowSum terms;
    ForEachSum(x + start, count, &terms, [&](Vec v, int i, int lanes, Vec* sum) {
      const Vec p = Exp(Sub(Sub(v, first), rest));
      StoreN(x + start + i, lanes, p);
      *sum = Fma(lanes == kLanes ? p : BlendTail(p, lanes, Zero()), v, *sum);
    });
    total += terms.Total();
  }
  return total;
}

template <class F>
inline void ActivateBackwardWith(const float* x, int n, float* d) {
  ForEach(x, n, [&](Vec v, int i, int lanes) {
    StoreN(d + i, lanes, Mul(LoadN(d + i, lanes), F::Both(v).slope));
  });
}
template <class F>
inline void ActivateGatedBackwardWith(const float* gate, const float* linear, const float* dy,
                                      int n, float* d_gate, float* d_linear) {
  ForEach(gate, n, [&](Vec v, int i, int lanes) {
    const ValueAndSlope f = F::Both(v);
    const Vec d = LoadN(dy + i, lanes);
    StoreN(d_gate + i, lanes, Mul(Mul(d, LoadN(linear + i, lanes)), f.slope));
    StoreN(d_linear + i, lanes, Mul(d, f.value));
  });
}

void ActivateBackward(Activation activation, const float* x, int n, float* d) {
  switch (activation) {
    case Activation::kRelu:
      return ActivateBackwardWith<Relu>(x, n, d);
    case Activation::kGeluTanh:
      return ActivateBackwardWith<GeluTanh>(x, n, d);
    case Activation::kGeluErf:
      return ActivateBackwardWith<GeluErf>(x, n, d);
    case Activation::kSilu:
      return ActivateBackwardWith<Silu>(x, n, d);
  }
}

void ActivateGatedBackward(Activation activation, const float* gate, const float* linear,
                           const float* dy, int n, float* d_gate, float* d_linear) {
  switch (activation) {
    case Activation::kRelu:
      return ActivateGatedBackwardWith<Relu>(gate, linear, dy, n, d_gate, d_linear);
    case Activation::kGeluTanh:
      return ActivateGatedBackwardWith<GeluTanh>(gate, linear, dy, n, d_gate, d_linear);
    case Activation::kGeluErf:
      return ActivateGatedBackwardWith<GeluErf>(gate, linear, dy, n, d_gate, d_linear);
    case Activation::kSilu:
      return ActivateGatedBackwardWith<Silu>(gate, linear, dy, n, d_gate, d_linear);
  }
}

void AddTo(const float* x, int n, float* y) {
  ForEach(x, n,
          [&](Vec v, int i, int lanes) { StoreN(y + i, lanes, Add(LoadN(y + i, lanes), v)); });
}

void MultiplyBy(const float* x, int n, float* y) {
  ForEach(x, n,
          [&](Vec v, int i, int lanes) { StoreN(y + i, lanes, Mul(LoadN(y + i, lanes), v)); });
}

void Scale(float factor, int n, float* y) {
  const Vec f = Set1(factor);
  ForEach(y, n, [&](Vec v, int i, int lanes) { StoreN(y + i, lanes, Mul(v, f)); });
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ROW_KERNELS_H_
