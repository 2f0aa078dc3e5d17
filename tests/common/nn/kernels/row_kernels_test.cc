#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "common/nn/kernels/kernel_table.h"
#include "tests/common/nn/kernels/isa_names.h"

namespace mellow::nn::kernels {
namespace row_kernels_test {

std::vector<float> Random(int count, float scale, int seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& v : values) v = normal(generator);
  return values;
}

class RowKernelsTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    kernels_ = KernelsFor(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this CPU lacks the instruction set";
  }
  const KernelTable* kernels_ = nullptr;
};

const int kSizes[] = {1, 3, 4, 7, 8, 9, 16, 31, 100, 768, 1001};

TEST_P(RowKernelsTest, RmsNormDividesByTheRootMeanSquare) {
  for (int n : kSizes) {
    const std::vector<float> x = Random(n, 3, n);
    const std::vector<float> w = Random(n, 1, n + 1);
    std::vector<float> y(n + 1, 5.0f);
    kernels_->rms_norm(x.data(), w.data(), 1e-6f, n, y.data());
    double squares = 0;
    for (float v : x) squares += double{v} * v;
    for (int i = 0; i < n; ++i)
      ASSERT_NEAR(y[i], x[i] / std::sqrt(squares / n + 1e-6) * w[i], 5e-6);
    EXPECT_EQ(y[n], 5.0f);
  }
}

TEST_P(RowKernelsTest, LayerNormCentersAndScales) {
  for (int n : kSizes) {
    std::vector<float> x = Random(n, 2, n);
    for (float& v : x) v += 10;
    const std::vector<float> w = Random(n, 1, n + 1);
    const std::vector<float> b = Random(n, 1, n + 2);
    std::vector<float> y(n + 1, 5.0f);
    kernels_->layer_norm(x.data(), w.data(), b.data(), 1e-5f, n, y.data());
    double mean = 0;
    for (float v : x) mean += v;
    mean /= n;
    double variance = 0;
    for (float v : x) variance += (v - mean) * (v - mean);
    variance /= n;
    for (int i = 0; i < n; ++i)
      ASSERT_NEAR(y[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * w[i] + b[i], 2e-5) << n;
    EXPECT_EQ(y[n], 5.0f);
  }
}

TEST_P(RowKernelsTest, SoftmaxSumsToOneAndKeepsRatios) {
  for (int n : kSizes) {
    const std::vector<float> x = Random(n, 8, n);
    std::vector<float> y = x;
    y.push_back(5.0f);
    kernels_->softmax(y.data(), n);
    double largest = -1e30;
    for (float v : x) largest = std::max(largest, double{v});
    double sum = 0;
    for (float v : x) sum += std::exp(v - largest);
    for (int i = 0; i < n; ++i) ASSERT_NEAR(y[i], std::exp(x[i] - largest) / sum, 3e-7);
    EXPECT_EQ(y[n], 5.0f);
  }
}

TEST_P(RowKernelsTest, SoftmaxOfAllNegativeRowsIgnoresTheZerosOfTheTail) {
  std::vector<float> y = {-200.0f, -201.0f, -202.0f};
  kernels_->softmax(y.data(), 3);
  EXPECT_NEAR(y[0], 0.66524096, 1e-6);
  EXPECT_NEAR(y[2], 0.09003057, 1e-6);
}

TEST_P(RowKernelsTest, SoftmaxGivesForbiddenTokensExactlyNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> y = {1.0f,      -infinity, 1.0f,      -200.0f,  -infinity,
                          -infinity, -infinity, -infinity, -infinity};
  EXPECT_NEAR(kernels_->log_sum_exp(y.data(), 9), 1 + std::log(2.0), 1e-6);
  kernels_->softmax(y.data(), 9);
  EXPECT_FLOAT_EQ(y[0], 0.5f);
  for (int i : {1, 3, 4, 8}) EXPECT_EQ(y[i], 0.0f);
}

TEST_P(RowKernelsTest, LogSumExpOfAVocabularyIsExactToSevenDigits) {
  for (int n : {1, 5, 32128, 50265}) {
    const std::vector<float> x = Random(n, 4, n);
    double largest = -1e30;
    for (float v : x) largest = std::max(largest, double{v});
    double sum = 0;
    for (float v : x) sum += std::exp(v - largest);
    EXPECT_NEAR(kernels_->log_sum_exp(x.data(), n), largest + std::log(sum), 1e-6);
  }
}

double Reference(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

TEST_P(RowKernelsTest, ActivationsAreWithinRoundingOfTheirDefinitions) {
  std::vector<float> x;
  for (int i = -12000; i <= 12001; ++i) x.push_back(static_cast<float>(i) / 1000.0f);
  const auto n = static_cast<int>(x.size());
  const std::vector<float> linear = Random(n, 1, 3);
  for (Activation activation :
       {Activation::kRelu, Activation::kGeluTanh, Activation::kGeluErf, Activation::kSilu}) {
    std::vector<float> y = x;
    kernels_->activate(activation, y.data(), n);
    std::vector<float> gated(n);
    kernels_->activate_gated(activation, x.data(), linear.data(), n, gated.data());
    for (int i = 0; i < n; ++i) {
      const double expected = Reference(activation, x[i]);
      ASSERT_NEAR(y[i], expected, 2e-7 * std::max(1.0, std::fabs(expected)) + 2e-7) << x[i];
      ASSERT_NEAR(gated[i], expected * linear[i],
                  1e-6 * std::max(1.0, std::fabs(expected * linear[i])))
          << x[i];
    }
  }
}

TEST_P(RowKernelsTest, HugeInputsStayFiniteAndNanStaysNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Activation activation : {Activation::kGeluTanh, Activation::kGeluErf, Activation::kSilu}) {
    std::vector<float> y = {1e10f, -1e10f, 100.0f, -100.0f, nan};
    kernels_->activate(activation, y.data(), 5);
    EXPECT_FLOAT_EQ(y[0], 1e10f);
    EXPECT_NEAR(y[1], 0, 1e-20);
    EXPECT_FLOAT_EQ(y[2], 100.0f);
    EXPECT_NEAR(y[3], 0, 1e-20);
    EXPECT_TRUE(std::isnan(y[4]));
  }
}

TEST_P(RowKernelsTest, AddAndScaleTouchOnlyTheirRow) {
  for (int n : kSizes) {
    const std::vector<float> x = Random(n, 1, n);
    std::vector<float> y(n + 1, 2.0f);
    kernels_->add(x.data(), n, y.data());
    kernels_->scale(0.5f, n, y.data());
    for (int i = 0; i < n; ++i) ASSERT_FLOAT_EQ(y[i], (x[i] + 2.0f) * 0.5f);
    EXPECT_EQ(y[n], 2.0f);
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowKernelsTest, ::testing::ValuesIn(kEveryIsa), IsaName);

}  // namespace row_kernels_test
}  // namespace mellow::nn::kernels
