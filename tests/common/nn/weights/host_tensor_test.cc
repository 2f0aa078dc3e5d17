#include "common/nn/weights/host_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace mellow::nn {
namespace host_tensor_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

template <typename T>
HostTensor TensorOf(DType dtype, const std::vector<T>& values) {
  auto bytes = std::make_shared<std::vector<uint8_t>>(values.size() * sizeof(T));
  std::memcpy(bytes->data(), values.data(), bytes->size());
  return {dtype, {static_cast<int64_t>(values.size())}, *bytes, bytes};
}

// The definition of a binary16 number, in doubles.
double HalfByDefinition(uint16_t half) {
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  const int exponent = (half >> 10) & 31;
  const double mantissa = half & 1023;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(HostTensorTest, EveryHalfIsConvertedExactly) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const std::vector<float> values = TensorOf(DType::kFloat16, halves).ToFloat32();
  for (size_t i = 0; i < halves.size(); ++i) {
    const double expected = HalfByDefinition(halves[i]);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
    } else {
      ASSERT_EQ(values[i], expected) << i;
      ASSERT_EQ(std::signbit(values[i]), (i & 0x8000) != 0) << i;
    }
  }
}

TEST(HostTensorTest, BFloat16IsTheUpperHalfOfAFloat) {
  const std::vector<float> values =
      TensorOf<uint16_t>(DType::kBFloat16, {0x3f80, 0xc040, 0x7f80, 0x0001, 0x8000}).ToFloat32();
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -3.0f);
  EXPECT_EQ(values[2], INFINITY);
  EXPECT_EQ(values[3], std::bit_cast<float>(0x00010000u));
  EXPECT_TRUE(values[4] == 0 && std::signbit(values[4]));
}

TEST(HostTensorTest, EveryOtherTypeIsConverted) {
  EXPECT_THAT(TensorOf<float>(DType::kFloat32, {1.5f, -2}).ToFloat32(), ElementsAre(1.5f, -2));
  EXPECT_THAT(TensorOf<double>(DType::kFloat64, {0.1, -2}).ToFloat32(), ElementsAre(0.1f, -2));
  EXPECT_THAT(TensorOf<int64_t>(DType::kInt64, {-5, 1 << 24}).ToFloat32(),
              ElementsAre(-5, 16777216));
  EXPECT_THAT(TensorOf<int32_t>(DType::kInt32, {-5, 7}).ToFloat32(), ElementsAre(-5, 7));
  EXPECT_THAT(TensorOf<int16_t>(DType::kInt16, {-5, 7}).ToFloat32(), ElementsAre(-5, 7));
  EXPECT_THAT(TensorOf<int8_t>(DType::kInt8, {-5, 7}).ToFloat32(), ElementsAre(-5, 7));
  EXPECT_THAT(TensorOf<uint8_t>(DType::kUInt8, {251, 7}).ToFloat32(), ElementsAre(251, 7));
  EXPECT_THAT(TensorOf<uint8_t>(DType::kBool, {0, 1, 2}).ToFloat32(), ElementsAre(0, 1, 1));
}

TEST(HostTensorTest, UnalignedBytesAreFine) {
  std::vector<uint8_t> bytes(1 + 3 * sizeof(float));
  const float values[] = {1, 2, 3};
  std::memcpy(bytes.data() + 1, values, sizeof(values));
  const HostTensor tensor = {DType::kFloat32, {3}, absl::MakeSpan(bytes).subspan(1), nullptr};
  EXPECT_THAT(tensor.ToFloat32(), ElementsAre(1, 2, 3));
}

TEST(HostTensorTest, FromFloat32OwnsItsValues) {
  HostTensor copy;
  {
    const HostTensor tensor = HostTensor::FromFloat32({1, 2, 3, 4, 5, 6}, {2, 3});
    copy = tensor;
  }
  EXPECT_EQ(copy.elements(), 6);
  EXPECT_EQ(copy.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_THAT(copy.ToFloat32(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(HostTensorTest, AScalarHasOneElementAndAnEmptyTensorNone) {
  EXPECT_EQ(HostTensor::FromFloat32({7}, {}).elements(), 1);
  EXPECT_THAT(HostTensor::FromFloat32({7}, {}).ToFloat32(), ElementsAre(7));
  EXPECT_TRUE(HostTensor::FromFloat32({}, {3, 0}).ToFloat32().empty());
}

TEST(CheckedElementsTest, NoticesWhatElementsCannotHold) {
  EXPECT_EQ(CheckedElements({}), 1);
  EXPECT_EQ(CheckedElements({2, 3}), 6);
  EXPECT_EQ(CheckedElements({int64_t{1} << 62, 0}), 0);
  EXPECT_EQ(CheckedElements({int64_t{1} << 62, 2}), std::nullopt);
  EXPECT_EQ(CheckedElements({int64_t{1} << 62, 0, int64_t{1} << 62}), std::nullopt);
  EXPECT_EQ(CheckedElements({-1, 2}), std::nullopt);
}

class TensorReaderTest : public ::testing::Test {
 protected:
  const TensorMap tensors_ = {{"a", HostTensor::FromFloat32({1, 2}, {2})},
                              {"b", HostTensor::FromFloat32({3, 4}, {1, 2})},
                              {"extra", HostTensor::FromFloat32({5}, {1})}};
};

TEST_F(TensorReaderTest, GivesTheTensorsAndIsContentWhenAllAreUsed) {
  TensorReader reader(tensors_);
  EXPECT_THAT(reader.Float32("a", {2}), ElementsAre(1, 2));
  ASSERT_NE(reader.Get("b", {1, 2}), nullptr);
  EXPECT_TRUE(reader.Has("extra"));
  EXPECT_FALSE(reader.Has("c"));
  reader.Ignore("extra");
  EXPECT_TRUE(reader.Finish().ok()) << reader.Finish();
}

TEST_F(TensorReaderTest, SaysEverythingThatIsWrongAtOnce) {
  TensorReader reader(tensors_);
  EXPECT_THAT(reader.Float32("a", {3}), ElementsAre(0, 0, 0));
  EXPECT_EQ(reader.Get("c", {4, 5}), nullptr);
  const absl::Status status = reader.Finish();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("a is [2], expected [3]"));
  EXPECT_THAT(message, HasSubstr("missing c [4, 5]"));
  EXPECT_THAT(message, HasSubstr("unexpected b [1, 2]"));
  EXPECT_THAT(message, HasSubstr("unexpected extra [1]"));
}

TEST_F(TensorReaderTest, NamesThePrefixOfAWrapper) {
  const TensorMap wrapped = {{"module.a", HostTensor::FromFloat32({1, 2}, {2})},
                             {"module.b", HostTensor::FromFloat32({3, 4}, {1, 2})}};
  TensorReader reader(wrapped);
  EXPECT_EQ(reader.Get("a", {2}), nullptr);
  EXPECT_EQ(reader.Get("b", {1, 2}), nullptr);
  EXPECT_THAT(std::string(reader.Finish().message()),
              HasSubstr("their names begin with \"module.\" (\"module.a\")"));

  TensorReader another(wrapped);
  EXPECT_EQ(another.Get("a", {2}), nullptr);
  EXPECT_EQ(another.Get("c", {2}), nullptr);
  EXPECT_THAT(std::string(another.Finish().message()), HasSubstr("missing a [2]; missing c [2]"));
}

TEST_F(TensorReaderTest, ALongListIsCut) {
  TensorReader reader(tensors_);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(reader.Get("missing." + std::to_string(i), {1}), nullptr);
  const std::string message(reader.Finish().message());
  EXPECT_THAT(message, HasSubstr("more"));
  EXPECT_THAT(message, Not(HasSubstr("missing.199")));
  EXPECT_LT(message.size(), 2000u);
}

}  // namespace host_tensor_test
}  // namespace mellow::nn
