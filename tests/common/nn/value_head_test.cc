#include "common/nn/value_head.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace value_head_test {

TEST(ValueHeadTest, FileRoundTrip) {
  const testing::TempFolder folder;
  const ValueHead head{.weight = {1, -2.5f, 3}, .bias = 0.25f};
  ASSERT_TRUE(WriteFileAtomic(folder / "head.safetensors", SerializeValueHead(head)).ok());
  const auto read = ReadValueHead(folder / "head.safetensors", 3);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->weight, head.weight);
  EXPECT_EQ(read->bias, head.bias);
  EXPECT_EQ(ReadValueHead(folder / "head.safetensors", 4).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(
      WriteFileAtomic(folder / "nan", SerializeValueHead({.weight = {1, NAN}, .bias = 0})).ok());
  EXPECT_EQ(ReadValueHead(folder / "nan", 2).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ValueHeadTest, BytesRoundTripAndAreThoseOfTheFile) {
  const ValueHead head{.weight = {1, -2.5f, 3}, .bias = 0.25f};
  const std::string bytes = SerializeValueHead(head);
  EXPECT_EQ(bytes, SerializeValueHead(head));
  EXPECT_NE(bytes, SerializeValueHead({.weight = {1, -2.5f, 3}, .bias = 0.5f}));
  const auto parsed = ParseValueHead(bytes, 3);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->weight, head.weight);
  EXPECT_EQ(parsed->bias, head.bias);
  EXPECT_EQ(ParseValueHead(bytes, 4).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ParseValueHead("no file", 3).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseValueHead(SerializeValueHead({.weight = {1, INFINITY}}), 2).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(ValueHeadTest, IsASumInDoublePrecision) {
  const float weight[] = {1e8f, 1, -1e8f};
  const float hidden[] = {1, 0.5f, 1};
  EXPECT_EQ(ValueOf(weight, 0.25f, hidden, 3), 0.75f);
}

}  // namespace value_head_test
}  // namespace mellow::nn
