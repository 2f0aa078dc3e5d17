#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "common/nn/kernels/packed_matrix.h"
#include "tests/common/nn/kernels/isa_names.h"

namespace mellow::nn::kernels {
namespace gemm_test {

struct Case {
  Isa isa;
  PanelFormat format;
};

std::vector<float> Random(size_t count, int seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(generator);
  return values;
}

// What the format makes of W, so that the rest can be compared tightly.
double FormatError(PanelFormat format) {
  switch (format) {
    case PanelFormat::kFloat32:
      return 0;
    case PanelFormat::kBFloat16:
      return 0x1p-8;
    case PanelFormat::kFloat16:
      return 0x1p-11;
    case PanelFormat::kInt8:
      return 0.5 / 127;
  }
  return 0;
}

class GemmTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    kernels_ = KernelsFor(GetParam().isa);
    if (kernels_ == nullptr) GTEST_SKIP() << "this CPU lacks the instruction set";
  }

  PackedMatrix Pack(const std::vector<float>& w, int out, int in) {
    ThreadPool pool(2);
    return PackedMatrix(
        *kernels_, out, in, GetParam().format,
        [&](int64_t index, float* row) {
          std::memcpy(row, w.data() + index * in, sizeof(float) * in);
        },
        &pool);
  }

  const KernelTable* kernels_ = nullptr;
};

TEST_P(GemmTest, EqualsTheSumsInDoublePrecision) {
  ThreadPool pool(2);
  for (int in : {1, 7, 32, 255, 256, 257, 768, 1030}) {
    for (int out : {1, 5, 16, 33, 100, 200}) {
      const std::vector<float> w = Random(static_cast<size_t>(in) * out, in + out);
      const PackedMatrix packed = Pack(w, out, in);
      const std::vector<float> bias = Random(out, 5);
      for (int rows : {1, 2, 3, 5, 6, 7, 14, 17, 40, 150}) {
        const int ldx = in + 3;
        const int ldy = out + 5;
        const std::vector<float> x = Random(static_cast<size_t>(rows) * ldx, rows);
        const std::vector<float> before = Random(static_cast<size_t>(rows) * ldy, rows + 1);
        std::vector<float> y = before;
        MatMul(*kernels_, &pool, packed, {x.data(), ldx}, rows, {y.data(), ldy},
               {.bias = bias.data(), .accumulate = true});
        for (int r = 0; r < rows; ++r) {
          for (int c = 0; c < ldy; ++c) {
            double sum = before[r * ldy + c];
            double magnitude = 1;
            if (c < out) {
              sum += bias[c];
              for (int k = 0; k < in; ++k) {
                const double term = double{x[r * ldx + k]} * w[static_cast<size_t>(c) * in + k];
                sum += term;
                magnitude += std::fabs(x[r * ldx + k]);
              }
            }
            // bf16 and int8 round x as well, |w| <= 1 and |x| <= 1.
            const PanelFormat format = GetParam().format;
            if (format == PanelFormat::kBFloat16 || format == PanelFormat::kInt8) magnitude += in;
            const double bound = magnitude * (FormatError(format) + 3e-7);
            ASSERT_NEAR(y[r * ldy + c], sum, bound)
                << "in " << in << " out " << out << " rows " << rows << " at " << r << "," << c;
          }
        }
      }
    }
  }
}

// By the definitions in kernel_table.h, written out once more.
int Quantized(float x, float largest) {
  return static_cast<int>(std::nearbyint(x * (127.0f / largest)));
}
float Largest(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

TEST_P(GemmTest, AnInt8ProductIsTheExactSumTimesBothScales) {
  if (GetParam().format != PanelFormat::kInt8) GTEST_SKIP() << "not int8";
  ThreadPool pool(2);
  for (const int in : {1, 3, 4, 5, 64, 770, 2049}) {
    const int out = 37, rows = 13;
    std::vector<float> w = Random(static_cast<size_t>(in) * out, in);
    std::vector<float> x = Random(static_cast<size_t>(rows) * in, in + 1);
    // The largest sums there are: every product 127 * 127, of both signs.
    std::fill_n(w.begin(), in, -1.0f);
    std::fill_n(x.begin(), in, 1.0f);
    std::fill_n(x.begin() + in, in, -3.0f);
    std::fill_n(x.begin() + 2 * in, in, 0.0f);
    const PackedMatrix packed = Pack(w, out, in);
    std::vector<float> y(static_cast<size_t>(rows) * out);
    MatMul(*kernels_, &pool, packed, {x.data(), in}, rows, {y.data(), out});
    for (int r = 0; r < rows; ++r) {
      const float x_largest = Largest(&x[r * in], in);
      for (int c = 0; c < out; ++c) {
        const float w_largest = Largest(&w[static_cast<size_t>(c) * in], in);
        int64_t sum = 0;
        for (int k = 0; k < in && x_largest > 0; ++k) {
          // The inverse of the scale, as weights are packed.
          const float inverse = 1.0f / (w_largest / 127.0f);
          sum += Quantized(x[r * in + k], x_largest) *
                 static_cast<int>(std::nearbyint(w[static_cast<size_t>(c) * in + k] * inverse));
        }
        const float expected =
            static_cast<float>(sum) * (x_largest / 127.0f) * (w_largest / 127.0f);
        ASSERT_EQ(y[r * out + c], expected) << in << " at " << r << "," << c;
      }
    }
  }
}

// One element of a bf16 product, as kernel_table.h describes its sum.
float BFloat16Sum(const float* x, const float* w, int k) {
  const auto rounded = [](float number) {
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof(bits));
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    std::memcpy(&number, &bits, sizeof(bits));
    return std::fabs(number) < 0x1p-40f ? 0.0f : number;
  };
  float sum = 0;
  for (int block = 0; block < k; block += 1024) {
    const int block_end = std::min(k, block + 1024);
    float of_block = 0;
    for (int piece = block; piece < block_end; piece += 32) {
      float of_parity[2] = {0, 0};
      for (int i = piece; i < std::min(block_end, piece + 32); ++i)
        of_parity[i % 2] = std::fma(rounded(x[i]), rounded(w[i]), of_parity[i % 2]);
      of_block += of_parity[0] + of_parity[1];
    }
    sum += of_block;
  }
  return sum;
}

TEST_P(GemmTest, ABFloat16ProductRoundsBothSidesAndSumsInItsOrder) {
  if (GetParam().format != PanelFormat::kBFloat16) GTEST_SKIP() << "not bfloat16";
  ThreadPool pool(2);
  for (const int in : {1, 2, 31, 255, 770, 1024, 2100}) {
    const int out = 39;
    const std::vector<float> w = Random(static_cast<size_t>(in) * out, in);
    std::vector<float> x = Random(static_cast<size_t>(40) * in, in + 1);
    x[0] = 1e-13f;
    const PackedMatrix packed = Pack(w, out, in);
    for (const int rows : {1, 3, 17, 40}) {
      std::vector<float> y(static_cast<size_t>(rows) * out);
      MatMul(*kernels_, &pool, packed, {x.data(), in}, rows, {y.data(), out});
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < out; ++c)
          ASSERT_EQ(y[r * out + c], BFloat16Sum(&x[r * in], &w[static_cast<size_t>(c) * in], in))
              << in << " at " << r << "," << c;
      }
    }
  }
}

TEST_P(GemmTest, ATransposeIsWhatPackingTheTransposeGives) {
  const PanelFormat format = GetParam().format;
  if (format == PanelFormat::kFloat16 || format == PanelFormat::kInt8)
    GTEST_SKIP() << "not trained with";
  ThreadPool pool(2);
  PackedMatrix transposed;  // its memory is used again
  for (const auto& [in, out] : {std::pair{1, 1}, {33, 70}, {96, 64}, {257, 31}, {30, 129}}) {
    const std::vector<float> w = Random(static_cast<size_t>(in) * out, in);
    std::vector<float> w_transposed(w.size());
    for (int o = 0; o < out; ++o) {
      for (int i = 0; i < in; ++i)
        w_transposed[static_cast<size_t>(i) * out + o] = w[static_cast<size_t>(o) * in + i];
    }
    const PackedMatrix packed = Pack(w, out, in);
    const PackedMatrix expected = Pack(w_transposed, in, out);
    packed.TransposeInto(&transposed, &pool);
    const int rows = 5;
    const std::vector<float> x = Random(static_cast<size_t>(rows) * out, 3);
    std::vector<float> a(static_cast<size_t>(rows) * in), b = a;
    MatMul(*kernels_, &pool, transposed, {x.data(), out}, rows, {a.data(), in});
    MatMul(*kernels_, &pool, expected, {x.data(), out}, rows, {b.data(), in});
    ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << in << ", " << out;
    std::vector<float> row(in), identity(out, 0.0f), product(in);
    packed.Row(out / 2, row.data());
    identity[out / 2] = 1;
    MatMul(*kernels_, &pool, transposed, {identity.data(), out}, 1, {product.data(), in});
    ASSERT_EQ(row, product) << in << ", " << out;
  }
}

TEST_P(GemmTest, WhatIsNotFiniteStaysSo) {
  ThreadPool pool(1);
  const int in = 70, out = 20;
  const PackedMatrix packed = Pack(Random(in * out, 1), out, in);
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    std::vector<float> x = Random(3 * in, 2);
    x[in + 33] = bad;
    std::vector<float> y(3 * out);
    MatMul(*kernels_, &pool, packed, {x.data(), in}, 3, {y.data(), out});
    for (int i = 0; i < 3 * out; ++i)
      EXPECT_EQ(std::isfinite(y[i]), i / out != 1) << bad << ", " << i;
  }
}

TEST_P(GemmTest, ARowIsTheSameBitsInAnyBatchAndWithAnyThreadCount) {
  const int in = 1300;
  const int out = 211;
  const PackedMatrix packed = Pack(Random(static_cast<size_t>(in) * out, 1), out, in);
  const int most = 130;
  const std::vector<float> x = Random(static_cast<size_t>(most) * in, 2);
  ThreadPool one(1);
  std::vector<float> alone(static_cast<size_t>(most) * out);
  for (int r = 0; r < most; ++r) {
    MatMul(*kernels_, &one, packed, {x.data() + r * in, in}, 1, {alone.data() + r * out, out});
  }
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (int rows : {2, 3, 4, 6, 7, 13, 16, 25, 64, 97, 130}) {
      std::vector<float> y(static_cast<size_t>(rows) * out);
      MatMul(*kernels_, &pool, packed, {x.data(), in}, rows, {y.data(), out});
      ASSERT_EQ(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), 0)
          << rows << " rows, " << threads << " threads";
    }
  }
}

TEST_P(GemmTest, WritesNothingBesideItsColumns) {
  ThreadPool pool(1);
  const PackedMatrix packed = Pack(Random(8 * 19, 1), 19, 8);
  for (int rows : {1, 9, 30}) {
    const std::vector<float> x = Random(rows * 8, 2);
    std::vector<float> y(rows * 24, 77.0f);
    MatMul(*kernels_, &pool, packed, {x.data(), 8}, rows, {y.data(), 24});
    for (int r = 0; r < rows; ++r) {
      for (int c = 19; c < 24; ++c) ASSERT_EQ(y[r * 24 + c], 77.0f);
    }
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Isa isa : kEveryIsa) {
    for (PanelFormat format : {PanelFormat::kFloat32, PanelFormat::kBFloat16, PanelFormat::kFloat16,
                               PanelFormat::kInt8}) {
      cases.push_back({isa, format});
    }
  }
  return cases;
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  const char* const formats[] = {"Float32", "BFloat16", "Float16", "Int8"};
  return NameOf(info.param.isa) + formats[static_cast<int>(info.param.format)];
}

INSTANTIATE_TEST_SUITE_P(All, GemmTest, ::testing::ValuesIn(Cases()), CaseName);

}  // namespace gemm_test
}  // namespace mellow::nn::kernels
