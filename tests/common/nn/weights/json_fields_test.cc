#include "common/nn/weights/json_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::nn {
namespace {

using ::testing::HasSubstr;

std::string ParseError(absl::string_view text) {
  const absl::Status status = ParseJsonObject(text, "file").status();
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ParseJsonObjectTest, AcceptsAnObject) {
  const auto object = ParseJsonObject(R"({"a": {"b": [1, 2.5, "x", null, true]}})", "file");
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ((*object)["a"]["b"].size(), 5u);
}

TEST(ParseJsonObjectTest, RefusesEverythingElseAndNamesTheFile) {
  EXPECT_THAT(ParseError(""), HasSubstr("file: not JSON"));
  EXPECT_THAT(ParseError("{"), HasSubstr("not JSON"));
  EXPECT_THAT(ParseError("{} x"), HasSubstr("not JSON"));
  EXPECT_THAT(ParseError("{\"a\": nan}"), HasSubstr("not JSON"));
  EXPECT_THAT(ParseError("{\"\xff\": 1}"), HasSubstr("not JSON"));
  EXPECT_THAT(ParseError("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ParseError("3"), HasSubstr("not a JSON object"));
}

TEST(ParseJsonObjectTest, RefusesAKeyTwiceInOneObjectOnly) {
  EXPECT_THAT(ParseError(R"({"a": 1, "b": 2, "a": 3})"), HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(ParseError(R"({"x": {"a": 1, "a": 3}})"), HasSubstr("\"a\" is there twice"));
  EXPECT_EQ(ParseError(R"({"a": {"a": 1}, "b": {"a": 2}})"), "");
}

TEST(ParseJsonObjectTest, RefusesDeepNestingWithoutBuildingIt) {
  EXPECT_THAT(ParseError("{\"a\":" + std::string(1'000'000, '[')), HasSubstr("nested deeper"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(ParseError(objects), HasSubstr("nested deeper"));
}

TEST(JsonFieldsTest, NullAndAbsentKeepTheDefault) {
  const nlohmann::json object = {{"n", nullptr}, {"s", nullptr}};
  JsonFields fields(object);
  int n = 3;
  double x = 0.5;
  bool flag = true;
  std::string s = "default";
  fields.Int("n", 0, 10, &n);
  fields.Number("absent", 0, 1, &x);
  fields.Bool("absent", &flag);
  fields.String("s", &s);
  EXPECT_TRUE(fields.Finish("file").ok());
  EXPECT_EQ(n, 3);
  EXPECT_EQ(x, 0.5);
  EXPECT_TRUE(flag);
  EXPECT_EQ(s, "default");
  EXPECT_EQ(fields.Find("n"), nullptr);
}

TEST(JsonFieldsTest, AnIntegerMustBeOneAndInRange) {
  for (const char* bad : {"1.0", "\"1\"", "true", "[]", "11", "-1", "18446744073709551615",
                          "-9223372036854775808", "123456789012345678901234567890", "4294967297"}) {
    const nlohmann::json object = {{"n", nlohmann::json::parse(bad)}};
    JsonFields fields(object);
    int n = 3;
    fields.Int("n", 0, 10, &n);
    const absl::Status status = fields.Finish("file");
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("n is ")) << bad;
    EXPECT_EQ(n, 3);
  }
  const nlohmann::json object = {{"low", -5}, {"high", 10}};
  JsonFields fields(object);
  int low = 0;
  int high = 0;
  fields.Int("low", -5, 10, &low);
  fields.Int("high", -5, 10, &high);
  EXPECT_TRUE(fields.Finish("file").ok());
  EXPECT_EQ(low, -5);
  EXPECT_EQ(high, 10);
}

TEST(JsonFieldsTest, SaysEveryProblemAtOnceAndCutsLongValues) {
  const nlohmann::json object = {{"a", "x"}, {"b", 1}, {"c", 2}, {"d", std::string(1000, 'y')}};
  JsonFields fields(object);
  double a = 0;
  bool b = false;
  std::string c;
  fields.Number("a", 0, 1, &a);
  fields.Bool("b", &b);
  fields.String("c", &c);
  fields.Number("d", 0, 1, &a);
  const std::string message(fields.Finish("folder/config.json").message());
  for (const char* part : {"folder/config.json", "a is \"x\"", "b is 1", "c is 2", "yyy..."})
    EXPECT_THAT(message, HasSubstr(part));
  EXPECT_LT(message.size(), 500u);
}

}  // namespace
}  // namespace mellow::nn
