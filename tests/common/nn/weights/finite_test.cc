#include "common/nn/weights/finite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace mellow::nn {
namespace finite_test {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <typename T>
HostTensor Of(DType dtype, const std::vector<T>& values) {
  auto owner = std::make_shared<const std::vector<T>>(values);
  return {dtype,
          {static_cast<int64_t>(values.size())},
          {reinterpret_cast<const uint8_t*>(owner->data()), values.size() * sizeof(T)},
          owner};
}

absl::Status Check(HostTensor tensor) { return CheckWeights({{"a.weight", std::move(tensor)}}); }

TEST(CheckWeightsTest, NamesTensorAndPlaceOfAValueThatIsNotFinite) {
  for (const float bad : {NAN, -NAN, kInfinity, -kInfinity}) {
    for (const size_t place : {0u, 1u, 4095u, 4096u, 9999u}) {
      std::vector<float> values(10000, std::numeric_limits<float>::max());
      values[place] = bad;
      const absl::Status status = Check(Of(DType::kFloat32, values));
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("a.weight [10000]: value " + std::to_string(place) + " of 10000"));
    }
  }
}

TEST(CheckWeightsTest, TakesWhatIsFiniteInEveryFloatType) {
  const float largest = std::numeric_limits<float>::max();
  EXPECT_TRUE(Check(Of<float>(DType::kFloat32, {0, -0.0f, largest, -largest, 1e-45f})).ok());
  EXPECT_TRUE(Check(Of<uint16_t>(DType::kFloat16, {0x7bff, 0xfbff, 0x8000})).ok());
  EXPECT_TRUE(Check(Of<uint16_t>(DType::kBFloat16, {0x7f7f, 0xff7f})).ok());
  EXPECT_TRUE(Check(Of<double>(DType::kFloat64, {largest, -largest})).ok());
  EXPECT_TRUE(Check(Of<float>(DType::kFloat32, {})).ok());
}

TEST(CheckWeightsTest, RefusesInfinitiesOfEveryFloatType) {
  for (const uint16_t bad : {0x7c00, 0xfc00, 0x7c01})
    EXPECT_TRUE(absl::IsDataLoss(Check(Of<uint16_t>(DType::kFloat16, {0, bad})))) << bad;
  for (const uint16_t bad : {0x7f80, 0xff80, 0xffc0})
    EXPECT_TRUE(absl::IsDataLoss(Check(Of<uint16_t>(DType::kBFloat16, {0, bad})))) << bad;
  // Finite, but not anymore in fp32.
  for (const double bad : {1e300, -3.5e38, double{NAN}})
    EXPECT_TRUE(absl::IsDataLoss(Check(Of<double>(DType::kFloat64, {0, bad})))) << bad;
}

TEST(CheckWeightsTest, RefusesIntegersByName) {
  const absl::Status status = Check(Of<int8_t>(DType::kInt8, {1, 2}));
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("a.weight is of int8"));
}

TEST(CheckComputedTest, IsInternalWhereAValueIsNotFinite) {
  EXPECT_TRUE(CheckComputed(std::vector<float>{1, -2}, "logits").ok());
  EXPECT_TRUE(CheckComputed(std::vector<float>{}, "logits").ok());
  for (const float bad : {NAN, kInfinity, -kInfinity}) {
    const absl::Status status = CheckComputed(std::vector<float>{1, bad}, "logits");
    EXPECT_TRUE(absl::IsInternal(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("logits are not finite"));
    EXPECT_TRUE(absl::IsInternal(
        CheckComputed(std::vector<std::vector<float>>{{1}, {2, bad}}, "log-probs")));
  }
}

}  // namespace finite_test
}  // namespace mellow::nn
