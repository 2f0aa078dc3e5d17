// The kernels of backward passes against their formulas in double precision, and their bits against
// those of the generic set.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "common/base/sum_tree.h"
#include "common/nn/kernels/attention.h"
#include "common/nn/kernels/kernel_table.h"
#include "common/nn/kernels/packed_matrix.h"
#include "tests/common/nn/kernels/isa_names.h"

namespace mellow::nn::kernels {
namespace backward_kernels_test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

Floats Random(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 1);
  Floats values(count);
  for (float& v : values) v = normal(generator);
  return values;
}

// Relative to the largest number.
void ExpectNear(const Floats& got, const Doubles& want, double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double largest = 1e-30;
  for (const double x : want) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * largest) << what << ", element " << i;
}

class BackwardKernelsTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (table_ == nullptr) GTEST_SKIP() << "this CPU lacks it";
  }
  // The kernel's result, which is the generic set's to the bit.
  Floats Result(const std::function<Floats(const KernelTable&)>& compute) {
    const Floats ours = compute(*table_);
    const Floats generic = compute(*KernelsFor(Isa::kGeneric));
    EXPECT_EQ(ours.size(), generic.size());
    EXPECT_EQ(0, std::memcmp(ours.data(), generic.data(), ours.size() * sizeof(float)))
        << "not the bits of the generic kernels";
    return ours;
  }
  const KernelTable* const table_ = KernelsFor(GetParam());
};

constexpr int kSizes[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 64, 100, 257, 768, 1025};

TEST_P(BackwardKernelsTest, RmsNorm) {
  constexpr double kEps = 1e-6;
  for (const int n : kSizes) {
    const Floats x = Random(n, 1), w = Random(n, 2), dy = Random(n, 3), before = Random(n, 4);
    double squares = 0, products = 0;
    for (int i = 0; i < n; ++i) {
      squares += double{x[i]} * x[i];
      products += double{w[i]} * dy[i] * x[i];
    }
    const double r = 1 / std::sqrt(squares / n + kEps);
    Doubles want;
    for (int i = 0; i < n; ++i)
      want.push_back(before[i] + r * w[i] * dy[i] - x[i] * r * r * r * products / n);
    ExpectNear(Result([&](const KernelTable& k) {
                 Floats dx = before;
                 k.rms_norm_backward(x.data(), w.data(), dy.data(), kEps, n, dx.data());
                 return dx;
               }),
               want, 2e-6, "rms_norm_backward of " + std::to_string(n));
  }
}

TEST_P(BackwardKernelsTest, SoftmaxAndProbabilities) {
  for (const int n : kSizes) {
    const Floats x = Random(n, 1), dp = Random(n, 2);
    double sum = 0, mean = 0, expected = 0;
    for (const float v : x) sum += std::exp(double{v});
    Doubles p, want;
    for (int i = 0; i < n; ++i) {
      p.push_back(std::exp(double{x[i]}) / sum);
      mean += p[i] * dp[i];
      expected += p[i] * x[i];
    }
    for (int i = 0; i < n; ++i) want.push_back(p[i] * (dp[i] - mean));
    ExpectNear(Result([&](const KernelTable& k) {
                 Floats y = x, dx = dp;
                 k.softmax(y.data(), n);
                 k.softmax_backward(y.data(), n, dx.data());
                 return dx;
               }),
               want, n == 1 ? 1e9 : 2e-6, "softmax_backward of " + std::to_string(n));
    p.push_back(expected);
    ExpectNear(Result([&](const KernelTable& k) {
                 Floats y = x;
                 const double e = k.probabilities(k.log_sum_exp(x.data(), n), n, y.data());
                 y.push_back(static_cast<float>(e));
                 return y;
               }),
               p, 2e-6, "probabilities of " + std::to_string(n));
  }
}

double Exact(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

TEST_P(BackwardKernelsTest, ActivationsByDifferences) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kGeluTanh, Activation::kGeluErf, Activation::kSilu}) {
    constexpr int kN = 1001;
    Floats x(kN);
    for (int i = 0; i < kN; ++i) x[i] = static_cast<float>(i - 500) / 40 + 1e-3f;
    const Floats linear = Random(kN, 5), dy = Random(kN, 6);
    Doubles plain, gate, product;
    for (int i = 0; i < kN; ++i) {
      const double h = 1e-5;
      const double slope = (Exact(activation, x[i] + h) - Exact(activation, x[i] - h)) / (2 * h);
      plain.push_back(dy[i] * slope);
      gate.push_back(dy[i] * slope * linear[i]);
      product.push_back(dy[i] * Exact(activation, x[i]));
    }
    const auto gated = [&](const KernelTable& k, bool wants_gate) {
      Floats a = x, b = linear;  // in place
      k.activate_gated_backward(activation, a.data(), b.data(), dy.data(), kN, a.data(), b.data());
      return wants_gate ? a : b;
    };
    ExpectNear(Result([&](const KernelTable& k) {
                 Floats d = dy;
                 k.activate_backward(activation, x.data(), kN, d.data());
                 return d;
               }),
               plain, 2e-6, "activate_backward");
    ExpectNear(Result([&](const KernelTable& k) { return gated(k, true); }), gate, 2e-6, "d_gate");
    ExpectNear(Result([&](const KernelTable& k) { return gated(k, false); }), product, 2e-6,
               "d_linear");
  }
}

TEST_P(BackwardKernelsTest, ProductsOfRowsAndTheTransposedMatrix) {
  struct Shape {
    int rows, k, cols;
  };
  PackedMatrix transposed_w;  // one for all, as a backward pass uses it
  for (const Shape s : {Shape{1, 1, 1},
                        {3, 5, 7},
                        {32, 300, 50},
                        {14, 257, 64},
                        {200, 64, 33},
                        {7, 513, 96},
                        {300, 20, 300}}) {
    const Floats a = Random(size_t{1} * s.rows * s.k, 1), b = Random(size_t{1} * s.k * s.cols, 2);
    Doubles want(size_t{1} * s.rows * s.cols, 0.5);
    for (int i = 0; i < s.rows; ++i) {
      for (int j = 0; j < s.cols; ++j) {
        for (int k = 0; k < s.k; ++k)
          want[i * s.cols + j] += double{a[i * s.k + k]} * b[k * s.cols + j];
      }
    }
    Floats transposed(a.size());
    for (int i = 0; i < s.rows; ++i) {
      for (int k = 0; k < s.k; ++k) transposed[k * s.rows + i] = a[i * s.k + k];
    }
    const std::string name = std::to_string(s.rows) + "x" + std::to_string(s.k);
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      ExpectNear(Result([&](const KernelTable& k) {
                   Floats c(want.size(), 0.5f);
                   MatMulTransposed(k, &pool, {transposed.data(), s.rows}, s.rows,
                                    {b.data(), s.cols}, s.cols, {0, s.k}, {c.data(), s.cols});
                   return c;
                 }),
                 want, 2e-6, "a^T b of " + name);
      // x W with W packed for x W^T: its transposed packing.
      ExpectNear(Result([&](const KernelTable& k) {
                   const PackedMatrix w(
                       k, s.k, s.cols, PanelFormat::kFloat32,
                       [&](int64_t index, float* row) {
                         std::copy_n(b.data() + index * s.cols, s.cols, row);
                       },
                       &pool);
                   Floats row(static_cast<size_t>(s.cols));
                   w.Row(s.k / 2, row.data());
                   EXPECT_EQ(0, std::memcmp(row.data(), b.data() + s.k / 2 * s.cols,
                                            sizeof(float) * row.size()));
                   w.TransposeInto(&transposed_w, &pool);
                   Floats c(want.size(), 0.5f);
                   MatMul(k, &pool, transposed_w, {a.data(), s.k}, s.rows, {c.data(), s.cols},
                          {.accumulate = true});
                   return c;
                 }),
                 want, 2e-6, "a b of " + name);
    }
  }
}

TEST_P(BackwardKernelsTest, TheGradientOfAWeightIsTheTreeOfItsSequences) {
  constexpr int kRows = 20, kCols = 70;
  ThreadPool pool(2);
  for (int sequences = 1; sequences <= 17; ++sequences) {
    std::vector<int> offsets = {0};
    for (int i = 0; i < sequences; ++i) offsets.push_back(offsets.back() + 1 + (37 * i) % 300);
    const Floats a = Random(static_cast<size_t>(offsets.back()) * kRows, 3),
                 b = Random(static_cast<size_t>(offsets.back()) * kCols, 4);
    const auto sum_of = [&](const KernelTable& k, int first, int last) {
      std::vector<int> part;
      for (int i = first; i <= last; ++i) part.push_back(offsets[i] - offsets[first]);
      Floats c(size_t{kRows} * kCols);
      MatMulTransposed(k, &pool, {a.data() + offsets[first] * kRows, kRows}, kRows,
                       {b.data() + offsets[first] * kCols, kCols}, kCols, part, {c.data(), kCols});
      return c;
    };
    // Every node of the tree from its two halves.
    (void)Result([&](const KernelTable& k) {
      const std::function<Floats(int, int)> check = [&](int first, int last) {
        const Floats whole = sum_of(k, first, last);
        if (last - first == 1) return whole;
        const int middle = MiddleOf(first, last);
        Floats sum = check(first, middle);
        const Floats rest = check(middle, last);
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += rest[i];
        EXPECT_EQ(0, std::memcmp(sum.data(), whole.data(), sizeof(float) * sum.size()))
            << first << " to " << last << " of " << sequences;
        return whole;
      };
      return check(0, sequences);
    });
  }
}

TEST_P(BackwardKernelsTest, Attention) {
  struct Shape {
    int queries, keys, dim;
    bool causal, bias, drop;
  };
  for (const Shape s : {Shape{1, 1, 8, true, false, false},
                        {5, 9, 16, false, false, true},
                        {70, 70, 32, true, true, false},
                        {200, 200, 20, true, true, true},
                        {130, 66, 64, false, false, false},
                        {66, 500, 64, false, true, true}}) {
    const auto at = [&](int i, int d) { return size_t{1} * i * s.dim + d; };
    const Floats q = Random(at(s.queries, 0), 1), k = Random(at(s.keys, 0), 2);
    const Floats v = Random(at(s.keys, 0), 3), d_out = Random(at(s.queries, 0), 4);
    const Floats bias = Random(2 * std::max(s.queries, s.keys) + 1, 5);
    const float* const center = bias.data() + std::max(s.queries, s.keys);
    const float scale = 0.3f;
    const auto factor = [&](int query, int key) {
      return s.drop ? ((query * 7 + key * 3) % 5 == 0 ? 0.0f : 1.25f) : 1.0f;
    };
    Doubles dq(q.size()), dk(k.size()), dv(v.size());
    for (int i = 0; i < s.queries; ++i) {
      const int seen = s.causal ? i + 1 : s.keys;
      Doubles p(seen), dp(seen);
      double sum = 0, mean = 0;
      for (int j = 0; j < seen; ++j) {
        double score = 0;
        for (int d = 0; d < s.dim; ++d) {
          score += double{q[at(i, d)]} * k[at(j, d)];
          dp[j] += double{d_out[at(i, d)]} * v[at(j, d)] * factor(i, j);
        }
        p[j] = std::exp(score * scale + (s.bias ? center[j - i] : 0));
        sum += p[j];
      }
      for (int j = 0; j < seen; ++j) {
        p[j] /= sum;
        mean += p[j] * dp[j];
      }
      for (int j = 0; j < seen; ++j) {
        const double ds = p[j] * (dp[j] - mean) * scale;
        for (int d = 0; d < s.dim; ++d) {
          dq[at(i, d)] += ds * k[at(j, d)];
          dk[at(j, d)] += ds * q[at(i, d)];
          dv[at(j, d)] += p[j] * factor(i, j) * d_out[at(i, d)];
        }
      }
    }
    const auto gradient = [&](const KernelTable& table, int which) {
      const KvLayout layout(table, s.dim);
      AttentionArgs args;
      args.q = {q.data(), s.dim};
      args.queries = s.queries;
      args.keys = s.keys;
      args.causal = s.causal;
      args.scale = scale;
      if (s.bias) args.bias = center;
      if (s.drop) {
        args.drop = [&](int query, float* row, int keys) {
          for (int j = 0; j < keys; ++j) row[j] *= factor(query, j);
        };
      }
      Floats out[] = {Floats(q.size(), 7), Floats(k.size(), 7), Floats(v.size(), 7)};
      AttendBackward(table, layout, {k.data(), s.dim}, {v.data(), s.dim}, args,
                     {.d_out = {d_out.data(), s.dim},
                      .dq = {out[0].data(), s.dim},
                      .dk = {out[1].data(), s.dim},
                      .dv = {out[2].data(), s.dim}});
      return out[which];
    };
    const std::string name = std::to_string(s.queries) + " queries";
    ExpectNear(Result([&](const KernelTable& t) { return gradient(t, 0); }), dq, 1e-5,
               "dq " + name);
    ExpectNear(Result([&](const KernelTable& t) { return gradient(t, 1); }), dk, 1e-5,
               "dk " + name);
    ExpectNear(Result([&](const KernelTable& t) { return gradient(t, 2); }), dv, 1e-5,
               "dv " + name);
  }
}

INSTANTIATE_TEST_SUITE_P(On, BackwardKernelsTest, ::testing::ValuesIn(kEveryIsa), IsaName);

}  // namespace backward_kernels_test
}  // namespace mellow::nn::kernels
