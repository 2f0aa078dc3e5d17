// Every kernel gives the same bits on every instruction set: what a CPU lacks is skipped by name.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "common/nn/kernels/attention.h"
#include "common/nn/kernels/kernel_table.h"
#include "common/nn/kernels/packed_matrix.h"
#include "tests/common/nn/kernels/isa_names.h"

namespace mellow::nn::kernels {
namespace instruction_sets_test {

// With the sizes around every vector, tile and block, and some of a real model.
const int kSizes[] = {1,  2,  3,  4,  5,   7,   8,   9,   15,  16,  17,  23,  24,   31,   32,  33,
                      48, 63, 64, 65, 100, 255, 256, 257, 511, 512, 513, 768, 1025, 2048, 2055};

std::vector<float> Numbers(int n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

void ExpectSameBits(const std::vector<float>& a, const std::vector<float>& b, const char* what,
                    int n) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(0, std::memcmp(&a[i], &b[i], sizeof(float)))
        << what << " of " << n << ", element " << i << ": " << a[i] << " and " << b[i];
  }
}

class InstructionSetsTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (table_ == nullptr) GTEST_SKIP() << "this CPU lacks it";
  }
  const KernelTable* const table_ = KernelsFor(GetParam());
  const KernelTable& generic_ = *KernelsFor(Isa::kGeneric);
};

TEST_P(InstructionSetsTest, RowKernels) {
  for (const int n : kSizes) {
    const std::vector<float> x = Numbers(n, n);
    const std::vector<float> weight = Numbers(n, n + 1);
    const std::vector<float> bias = Numbers(n, n + 2);
    const auto both = [&](const char* what, const auto& kernel) {
      std::vector<float> a = x, b = x;
      kernel(*table_, a.data());
      kernel(generic_, b.data());
      ExpectSameBits(a, b, what, n);
    };
    both("rms_norm",
         [&](const KernelTable& k, float* y) { k.rms_norm(x.data(), weight.data(), 1e-6f, n, y); });
    both("layer_norm", [&](const KernelTable& k, float* y) {
      k.layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, n, y);
    });
    both("softmax", [&](const KernelTable& k, float* y) { k.softmax(y, n); });
    both("add", [&](const KernelTable& k, float* y) { k.add(weight.data(), n, y); });
    both("scale", [&](const KernelTable& k, float* y) { k.scale(0.125f, n, y); });
    for (const Activation activation :
         {Activation::kRelu, Activation::kGeluTanh, Activation::kGeluErf, Activation::kSilu}) {
      both("activate", [&](const KernelTable& k, float* y) { k.activate(activation, y, n); });
      both("activate_gated", [&](const KernelTable& k, float* y) {
        k.activate_gated(activation, x.data(), weight.data(), n, y);
      });
    }
    EXPECT_EQ(table_->log_sum_exp(x.data(), n), generic_.log_sum_exp(x.data(), n)) << n;
  }
}

TEST_P(InstructionSetsTest, RowKernelsAtTheEdges) {
  const float infinity = INFINITY;
  const std::vector<float> edges = {0.0f,  -0.0f,     1e-38f, -1e-38f, 1e-44f, 3e38f,  -3e38f,
                                    88.3f, -87.4f,    -87.3f, 1e-8f,   17.0f,  -17.0f, 4.2f,
                                    -4.2f, -infinity, 0.5f,   -0.5f,   87.9f};
  for (const Activation activation :
       {Activation::kRelu, Activation::kGeluTanh, Activation::kGeluErf, Activation::kSilu}) {
    std::vector<float> a(edges.begin(), edges.end()), b = a;
    a[15] = b[15] = 1;
    table_->activate(activation, a.data(), static_cast<int>(a.size()));
    generic_.activate(activation, b.data(), static_cast<int>(b.size()));
    ExpectSameBits(a, b, "activate", static_cast<int>(a.size()));
  }
  std::vector<float> a(edges.begin(), edges.end()), b = a;
  table_->softmax(a.data(), static_cast<int>(a.size()));
  generic_.softmax(b.data(), static_cast<int>(b.size()));
  ExpectSameBits(a, b, "softmax", static_cast<int>(a.size()));
}

TEST_P(InstructionSetsTest, MatrixProductsOfEveryFormat) {
  for (const PanelFormat format :
       {PanelFormat::kFloat32, PanelFormat::kBFloat16, PanelFormat::kFloat16, PanelFormat::kInt8}) {
    for (const auto& shape : {std::tuple{1, 64, 40},
                              {1, 768, 33},
                              {2, 300, 64},
                              {5, 257, 17},
                              {7, 512, 70},
                              {23, 96, 31},
                              {24, 1030, 48},
                              {96, 130, 65},
                              // Whole tiles of AMX, with one or two tiles of rows and what is left.
                              {4, 64, 33},
                              {16, 768, 96},
                              {17, 64, 70},
                              {50, 128, 65},
                              {96, 704, 100},
                              // Blocks of k that are added up before the activation.
                              {40, 2100, 40}}) {
      // Not structured bindings: clang 14 lets no lambda see those.
      const int rows = std::get<0>(shape), k = std::get<1>(shape), cols = std::get<2>(shape);
      const std::vector<float> a = Numbers(rows * k, k);
      const std::vector<float> w = Numbers(cols * k, cols);
      const std::vector<float> bias = Numbers(cols, 5);
      const auto product = [&](const KernelTable& kernels, const MatMulOptions& options) {
        ThreadPool pool(2);
        const PackedMatrix packed(
            kernels, cols, k, format,
            [&](int64_t index, float* row) {
              std::memcpy(row, w.data() + index * k, sizeof(float) * k);
            },
            &pool);
        std::vector<float> c(static_cast<size_t>(rows) * cols, -1.0f);
        MatMul(kernels, &pool, packed, {a.data(), k}, rows, {c.data(), cols}, options);
        return c;
      };
      for (const bool accumulate : {false, true}) {
        MatMulOptions options{.bias = bias.data(), .accumulate = accumulate};
        const std::vector<float> expected = product(generic_, options);
        ExpectSameBits(product(*table_, options), expected, "gemm", k);
        for (const Activation activation : {Activation::kGeluErf, Activation::kRelu}) {
          std::vector<float> activated = expected;
          generic_.activate(activation, activated.data(), static_cast<int>(activated.size()));
          options.activation = activation;
          ExpectSameBits(product(*table_, options), activated, "activated gemm", k);
        }
      }
    }
  }
}

TEST_P(InstructionSetsTest, SomeColumnsAreThoseOfTheWholeProduct) {
  constexpr int kRows = 130, kIn = 100, kOut = 150, kFirst = 7, kSome = 101;
  const std::vector<float> x = Numbers(kRows * kIn, 1), w = Numbers(kOut * kIn, 2);
  const std::vector<float> bias = Numbers(kOut, 3);
  ThreadPool pool(1);
  for (const PanelFormat format :
       {PanelFormat::kFloat32, PanelFormat::kBFloat16, PanelFormat::kFloat16, PanelFormat::kInt8}) {
    const PackedMatrix packed(
        *table_, kOut, kIn, format,
        [&](int64_t index, float* row) {
          std::memcpy(row, w.data() + index * kIn, sizeof(float) * kIn);
        },
        &pool);
    std::vector<float> whole(kRows * kOut);
    MatMul(*table_, &pool, packed, {x.data(), kIn}, kRows, {whole.data(), kOut},
           {.bias = bias.data()});
    FloatBuffer buffer;
    const RoundedRows rounded = RoundFor(*table_, &pool, packed, {x.data(), kIn}, kRows, &buffer);
    for (int column = 0; column < kOut; column += table_->panel_width) {
      for (const int cols : {1, kOut - column}) {
        std::vector<float> part(kSome * cols), expected;
        MatMulColumns(*table_, packed, rounded, kFirst, kSome, column, cols, {part.data(), cols},
                      {.bias = bias.data()});
        for (int row = kFirst; row < kFirst + kSome; ++row) {
          const float* const from = whole.data() + row * kOut + column;
          expected.insert(expected.end(), from, from + cols);
        }
        ExpectSameBits(part, expected, "columns", column);
      }
    }
  }
}

TEST_P(InstructionSetsTest, RowsAsAPanel) {
  const int width = table_->panel_width;
  for (const int rows : {1, width / 2, width - 1, width}) {
    for (const int n : {1, 7, 16, 33, 64}) {
      const ptrdiff_t stride = n + 3;
      const std::vector<float> x = Numbers(rows * static_cast<int>(stride), n);
      std::vector<float> panel(static_cast<size_t>(n) * width + 1, -1.0f), expected(panel);
      table_->pack_panel(x.data(), stride, rows, n, panel.data());
      for (int k = 0; k < n; ++k) {
        for (int row = 0; row < width; ++row)
          expected[k * width + row] = row < rows ? x[row * stride + k] : 0.0f;
      }
      ExpectSameBits(panel, expected, "pack_panel", n);
    }
  }
}

TEST_P(InstructionSetsTest, Attention) {
  constexpr int kHeadDim = 48;
  for (const bool causal : {false, true}) {
    for (const auto& shape : {std::pair{1, 1}, {1, 130}, {65, 65}, {7, 513}, {100, 200}}) {
      const int queries = shape.first, keys = shape.second;
      const std::vector<float> q = Numbers(queries * kHeadDim, 1);
      const std::vector<float> k = Numbers(keys * kHeadDim, 2);
      const std::vector<float> v = Numbers(keys * kHeadDim, 3);
      const auto attend = [&](const KernelTable& kernels) {
        const KvLayout layout(kernels, kHeadDim);
        std::vector<float> out(q.size());
        AttentionArgs args;
        args.q = {q.data(), kHeadDim};
        args.queries = queries;
        args.keys = keys;
        args.causal = causal;
        args.scale = 0.125f;
        args.out = {out.data(), kHeadDim};
        AttendOnce(kernels, layout, {k.data(), kHeadDim}, {v.data(), kHeadDim}, args);
        return out;
      };
      ExpectSameBits(attend(*table_), attend(generic_), "attention", keys);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Against, InstructionSetsTest,
                         ::testing::Values(Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx),
                         IsaName);

}  // namespace instruction_sets_test
}  // namespace mellow::nn::kernels
