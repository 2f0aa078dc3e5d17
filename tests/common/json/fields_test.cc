#include "common/json/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::json {
namespace {

using ::testing::HasSubstr;

TEST(FieldReaderTest, NullAndAbsentKeepTheDefault) {
  const Value object = {{"n", nullptr}, {"s", nullptr}};
  FieldReader fields(object, "file");
  int n = 3;
  double x = 0.5;
  bool flag = true;
  std::string s = "default";
  fields.Int("n", 0, 10, &n);
  fields.Number("absent", 0, 1, &x);
  fields.Bool("absent", &flag);
  fields.String("s", &s);
  EXPECT_TRUE(fields.Finish().ok());
  EXPECT_EQ(n, 3);
  EXPECT_EQ(x, 0.5);
  EXPECT_TRUE(flag);
  EXPECT_EQ(s, "default");
  EXPECT_EQ(fields.Find("n"), nullptr);
}

TEST(FieldReaderTest, AnIntegerMustBeOneAndInRange) {
  for (const char* bad : {"1.0", "\"1\"", "true", "[]", "11", "-1", "18446744073709551615",
                          "-9223372036854775808", "123456789012345678901234567890", "4294967297"}) {
    const Value object = {{"n", *Parse(bad, "")}};
    FieldReader fields(object, "file");
    int n = 3;
    fields.Int("n", 0, 10, &n);
    const absl::Status status = fields.Finish();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("n is ")) << bad;
    EXPECT_EQ(n, 3);
  }
  const Value object = {{"low", -5}, {"high", 10}};
  FieldReader fields(object, "file");
  int low = 0;
  int high = 0;
  fields.Int("low", -5, 10, &low);
  fields.Int("high", -5, 10, &high);
  EXPECT_TRUE(fields.Finish().ok());
  EXPECT_EQ(low, -5);
  EXPECT_EQ(high, 10);
}

TEST(FieldReaderTest, SaysEveryProblemAtOnceAndCutsLongValues) {
  const Value object = {{"a", "x"}, {"b", 1}, {"c", 2}, {"d", std::string(1000, 'y')}};
  FieldReader fields(object, "folder/config.json");
  double a = 0;
  bool b = false;
  std::string c;
  fields.Number("a", 0, 1, &a);
  fields.Bool("b", &b);
  fields.String("c", &c);
  fields.Number("d", 0, 1, &a);
  const std::string message(fields.Finish().message());
  for (const char* part : {"folder/config.json", "a is \"x\"", "b is 1", "c is 2", "yyy..."})
    EXPECT_THAT(message, HasSubstr(part));
  EXPECT_LT(message.size(), 500u);
}

TEST(FieldReaderTest, OptionalFieldsAreNothingWhenAbsentOrWrong) {
  const Value object = {{"n", 3}, {"flag", true}, {"s", "x"}, {"bad", Value::MakeArray()}};
  FieldReader fields(object, "file");
  EXPECT_EQ(fields.OptionalInt("n", 0, 5), 3);
  EXPECT_EQ(fields.OptionalBool("flag"), true);
  EXPECT_EQ(fields.OptionalString("s"), "x");
  EXPECT_TRUE(fields.BoolOr("flag", false));
  EXPECT_EQ(fields.StringOr("absent", "y"), "y");
  EXPECT_EQ(fields.OptionalInt("absent", 0, 5), std::nullopt);
  EXPECT_TRUE(fields.Finish().ok());
  EXPECT_EQ(fields.OptionalInt("n", 4, 5), std::nullopt);
  EXPECT_EQ(fields.OptionalBool("bad"), std::nullopt);
  EXPECT_EQ(fields.OptionalString("bad"), std::nullopt);
  const std::string message(fields.Finish().message());
  for (const char* part : {"n is 3, expected an integer from 4 to 5",
                           "bad is [], expected true or false", "bad is [], expected a string"})
    EXPECT_THAT(message, HasSubstr(part));
}

TEST(FieldReaderTest, WhatNobodyAskedForIsUnknown) {
  const Value object = {{"read", 1}, {"harmless", 2}, {"off", nullptr}, {"novelty", {{"a", 1}}}};
  FieldReader fields(object, "file");
  int read = 0;
  fields.Int("read", 0, 5, &read);
  fields.Harmless({"harmless", "absent"});
  EXPECT_THAT(fields.Unknown(), ::testing::ElementsAre("key \"novelty\" ({\"a\":1}) is not known"));
  EXPECT_TRUE(fields.Finish().ok());
  fields.ForbidUnknown();
  EXPECT_EQ(fields.Finish().message(),
            "file: \"off\" is not a field that Mellow knows; \"novelty\" is not a field that "
            "Mellow knows");
}

TEST(FieldReaderTest, AnUnknownFieldIsToldTheNearestName) {
  const Value object = {{"lora_alfa", 1}};
  FieldReader fields(object, "file");
  fields.Harmless({"lora_alpha", "lora_dropout"});
  fields.ForbidUnknown();
  EXPECT_EQ(fields.Finish().message(),
            "file: \"lora_alfa\" is not a field that Mellow knows (did you mean \"lora_alpha\"?)");
}

TEST(FieldReaderTest, OnlyOneValueMayBeImplemented) {
  const Value object = {{"one", 1.0}, {"list", Value::MakeArray()}, {"other", "gelu"}};
  FieldReader fields(object, "file");
  fields.Only("one", 1);
  fields.Only("list", Value::MakeArray());
  fields.Only("absent", "x");
  EXPECT_TRUE(fields.Finish().ok());
  fields.Only("other", "relu");
  EXPECT_EQ(fields.Finish().message(), "file: other is \"gelu\", expected \"relu\"");
}

TEST(FieldReaderTest, WhatIsNoObjectIsAnError) {
  const Value list = Array{1, 2};
  FieldReader fields(list, "file: part");
  EXPECT_EQ(fields.OptionalInt("n", 0, 5), std::nullopt);
  EXPECT_EQ(fields.Finish().message(), "file: part: is [1,2], not an object");
}

}  // namespace
}  // namespace mellow::json
