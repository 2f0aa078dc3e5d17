#include "common/nn/weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/file.h"
#include "tests/common/nn/weights/flipped_bytes.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace safetensors_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string FileOf(const std::string& header, const std::string& data) {
  std::string file;
  for (size_t i = 0; i < 8; ++i)
    file.push_back(static_cast<char>((header.size() >> (8 * i)) & 0xff));
  return file + header + data;
}

absl::StatusOr<TensorMap> Parse(std::string file) {
  return ParseSafetensors(std::make_shared<const std::string>(std::move(file)), "some.safetensors");
}

absl::StatusOr<TensorMap> Parse(const std::string& header, size_t data_bytes) {
  return Parse(FileOf(header, std::string(data_bytes, '\0')));
}

const TensorMap& Small() {
  static const TensorMap tensors = {{"b", HostTensor::FromFloat32({1, 2, 3, 4, 5, 6}, {2, 3})},
                                    {"a.weight", HostTensor::FromFloat32({-1}, {})},
                                    {"empty", HostTensor::FromFloat32({}, {0, 4})}};
  return tensors;
}

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteSafetensors(folder / "x.safetensors", Small()).ok());
  const auto read = ReadSafetensors(folder / "x.safetensors");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ(read->at("b").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_THAT(read->at("b").ToFloat32(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_TRUE(read->at("a.weight").shape.empty());
  EXPECT_THAT(read->at("a.weight").ToFloat32(), ElementsAre(-1));
  EXPECT_EQ(read->at("empty").elements(), 0);
}

TEST(SafetensorsTest, TensorsKeepTheMappingAlive) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteSafetensors(folder / "x.safetensors", Small()).ok());
  HostTensor tensor = ReadSafetensors(folder / "x.safetensors")->at("b");
  EXPECT_THAT(tensor.ToFloat32(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(SafetensorsTest, TheHeaderIsAlignedAndCarriesTheMetadata) {
  const std::string file = SerializeSafetensors(Small(), {{"format", "pt"}});
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < 8; ++i) header_bytes |= uint64_t{static_cast<uint8_t>(file[i])} << (8 * i);
  EXPECT_EQ(header_bytes % 8, 0u);
  EXPECT_THAT(file.substr(8, header_bytes), HasSubstr(R"("__metadata__":{"format":"pt"})"));
  EXPECT_EQ(file.size(), 8 + header_bytes + 7 * sizeof(float));
}

TEST(SafetensorsTest, EveryDTypeSurvivesWritingAndReading) {
  for (const DType dtype :
       {DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kFloat64, DType::kInt64,
        DType::kInt32, DType::kInt16, DType::kInt8, DType::kUInt8, DType::kBool}) {
    auto bytes = std::make_shared<std::vector<uint8_t>>(3 * BytesPerElement(dtype), 1);
    const auto read = Parse(SerializeSafetensors({{"t", {dtype, {3}, *bytes, bytes}}}, {}));
    ASSERT_TRUE(read.ok()) << DTypeName(dtype) << read.status();
    EXPECT_EQ(read->at("t").dtype, dtype);
    EXPECT_EQ(read->at("t").bytes.size(), bytes->size());
  }
}

TEST(SafetensorsTest, AFileThatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadSafetensors("/nonexistent/x.safetensors").status()));
}

TEST(SafetensorsTest, EveryTruncationIsDataLoss) {
  const std::string file = SerializeSafetensors(Small(), {{"format", "pt"}});
  for (size_t length = 0; length < file.size(); ++length) {
    const absl::Status status = Parse(file.substr(0, length)).status();
    ASSERT_TRUE(absl::IsDataLoss(status)) << length << " " << status;
    ASSERT_THAT(std::string(status.message()), HasSubstr("some.safetensors"));
  }
  EXPECT_TRUE(absl::IsDataLoss(Parse(file + "x").status()));
}

TEST(SafetensorsTest, NoFlippedByteCrashes) {
  ParseWithFlippedBytes(SerializeSafetensors(Small(), {{"format", "pt"}}),
                        [](const std::string& file) { return Parse(file); });
}

TEST(SafetensorsTest, RefusesHeadersThatLie) {
  const struct {
    const char* what;
    const char* header;
    size_t data_bytes;
  } kCases[] = {
      {"no object", "[]", 0},
      {"not JSON", "{", 0},
      {"a value that is no object", R"({"a": 3})", 0},
      {"no dtype", R"({"a": {"shape": [], "data_offsets": [0, 4]}})", 4},
      {"no shape", R"({"a": {"dtype": "F32", "data_offsets": [0, 4]}})", 4},
      {"no offsets", R"({"a": {"dtype": "F32", "shape": []}})", 4},
      {"one offset", R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0]}})", 4},
      {"a negative offset", R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [-4, 0]}})", 4},
      {"a fraction", R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4.0]}})", 4},
      {"a negative size", R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})", 4},
      {"offsets backwards", R"({"a": {"dtype": "F32", "shape": [0], "data_offsets": [4, 0]}})", 4},
      {"offsets outside", R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 4},
      {"offsets far outside",
       R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 18446744073709551615]}})", 4},
      {"another size than the shape",
       R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4},
      {"a shape that overflows to the right size",
       R"({"a": {"dtype": "F32", "shape": [4611686018427387905], "data_offsets": [0, 4]}})", 4},
      {"a product that overflows",
       R"({"a": {"dtype": "U8", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}})", 0},
      {"an overflow behind a zero",
       R"({"a": {"dtype": "U8", "shape": [0, 4294967296, 4294967296], "data_offsets": [0, 0]}})",
       0},
      {"the same bytes twice",
       R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}})",
       4},
      {"a hole",
       R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [], "data_offsets": [8, 12]}})",
       12},
      {"bytes that nobody owns", R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}})",
       8},
      {"a name twice",
       R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [], "data_offsets": [4, 8]}})",
       8},
  };
  for (const auto& test : kCases) {
    const absl::Status status = Parse(test.header, test.data_bytes).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << test.what << ": " << status;
  }
  EXPECT_TRUE(absl::IsDataLoss(Parse("{\"a\":" + std::string(100'000, '['), 0).status()));
}

TEST(SafetensorsTest, AHeaderLengthBeyondTheFileIsDataLoss) {
  for (const char top : {'\x00', '\x01', '\x7f', '\xff'}) {
    std::string file("\xff\xff\xff\xff\x00\x00\x00\x00{}", 10);
    file[7] = top;
    EXPECT_TRUE(absl::IsDataLoss(Parse(file).status()));
  }
}

TEST(SafetensorsTest, ADTypeThatWeDoNotReadIsNamed) {
  const absl::Status status =
      Parse(R"({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}})", 4).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("F8_E4M3"));
}

TEST(SafetensorsTest, AFileOfNoTensorsIsFine) {
  const auto read = Parse(R"({"__metadata__": {"format": "pt"}})", 0);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->empty());
}

}  // namespace safetensors_test
}  // namespace mellow::nn
