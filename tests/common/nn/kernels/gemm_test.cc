#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "common/nn/kernels/packed_matrix.h"

namespace mellow::nn::kernels {
namespace {

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

class GemmTest : public testing::TestWithParam<Case> {
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
            const double bound = magnitude * (FormatError(GetParam().format) + 3e-7);
            ASSERT_NEAR(y[r * ldy + c], sum, bound)
                << "in " << in << " out " << out << " rows " << rows << " at " << r << "," << c;
          }
        }
      }
    }
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
  for (Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    for (PanelFormat format : {PanelFormat::kFloat32, PanelFormat::kBFloat16, PanelFormat::kFloat16,
                               PanelFormat::kInt8}) {
      cases.push_back({isa, format});
    }
  }
  return cases;
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  const char* const isas[] = {"Generic", "Avx2", "Avx512"};
  const char* const formats[] = {"Float32", "BFloat16", "Float16", "Int8"};
  return std::string(isas[static_cast<int>(info.param.isa)]) +
         formats[static_cast<int>(info.param.format)];
}

INSTANTIATE_TEST_SUITE_P(All, GemmTest, testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace mellow::nn::kernels
