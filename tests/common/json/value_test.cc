#include "common/json/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace mellow::json {
namespace {

TEST(ValueTest, IsMadeOfWhatItHolds) {
  const Value value = {{"null", nullptr},
                       {"flag", true},
                       {"text", "x"},
                       {"numbers", std::vector<int>{1, 2}},
                       {"none", std::vector<double>()},
                       {"map", std::map<std::string, double>{{"a", 0.5}}},
                       {"absent", std::optional<int>()},
                       {"nested", {{"a", 1}, {"b", Array{"x", 2}}}},
                       {"texts", {{"a", "b"}}}};
  EXPECT_EQ(Write(value),
            R"({"null":null,"flag":true,"text":"x","numbers":[1,2],"none":[],"map":{"a":0.5},)"
            R"("absent":null,"nested":{"a":1,"b":["x",2]},"texts":{"a":"b"}})");
}

TEST(ValueTest, FindsNothingInAnotherKind) {
  const Value number = 5;
  EXPECT_EQ(number.Find("x"), nullptr);
  EXPECT_TRUE(number["x"].is_null());
  EXPECT_TRUE(number[0].is_null());
  EXPECT_EQ(number.size(), 0u);
  EXPECT_EQ(number.string(), "");
  EXPECT_TRUE(number.elements().empty());
  EXPECT_TRUE(number.members().empty());
  const Value list = Array{1, 2};
  EXPECT_TRUE(list[2].is_null());
}

TEST(ValueTest, GivesAnIntegerOnlyToATypeThatHoldsIt) {
  int32_t small = 7;
  int64_t large = 7;
  uint64_t largest = 7;
  EXPECT_FALSE(Value(int64_t{1} << 40).To(&small));
  EXPECT_FALSE(Value(1.0).To(&small));
  EXPECT_FALSE(Value("1").To(&small));
  EXPECT_FALSE(Value(true).To(&small));
  EXPECT_FALSE(Value(UINT64_MAX).To(&large));
  EXPECT_FALSE(Value(-1).To(&largest));
  EXPECT_EQ(small, 7);
  EXPECT_EQ(large, 7);
  EXPECT_EQ(largest, 7u);
  EXPECT_TRUE(Value(UINT64_MAX).To(&largest));
  EXPECT_EQ(largest, UINT64_MAX);
  EXPECT_TRUE(Value(uint64_t{5}).To(&large));
  EXPECT_EQ(large, 5);
}

TEST(ValueTest, GivesVectorsOfOneType) {
  std::vector<std::vector<int32_t>> lists;
  EXPECT_TRUE(Parse("[[1, 2], []]", "")->To(&lists));
  EXPECT_EQ(lists, (std::vector<std::vector<int32_t>>{{1, 2}, {}}));
  EXPECT_FALSE(Parse("[[1], [\"x\"]]", "")->To(&lists));
  EXPECT_EQ(lists.size(), 2u);
}

TEST(ValueTest, NumbersAndOrderDoNotMatterForEquality) {
  EXPECT_EQ(Value(1), Value(1.0));
  EXPECT_EQ(Value(uint64_t{3}), Value(3));
  EXPECT_NE(Value(UINT64_MAX), Value(-1));
  EXPECT_NE(Value(1), Value(true));
  EXPECT_NE(Value("1"), Value(1));
  EXPECT_NE(Value(nullptr), Value(false));
  EXPECT_EQ(Value({{"a", 1}, {"b", 2}}), Value({{"b", 2}, {"a", 1}}));
  EXPECT_NE(Value({{"a", 1}, {"b", 2}}), Value({{"a", 1}, {"c", 2}}));
  EXPECT_NE(Value::MakeArray(), Value::MakeObject());
}

TEST(ValueTest, ChangesInPlace) {
  Value value;
  value.Set("a", 1);
  value.Set("b", 2);
  value.Set("a", 3);
  EXPECT_EQ(Write(value), R"({"a":3,"b":2})");
  value.Erase("a");
  value.Append(1);  // of another kind: it stays
  EXPECT_EQ(Write(value), R"({"b":2})");
  Value list;
  list.Append(1);
  list.Append("x");
  EXPECT_EQ(Write(list), R"([1,"x"])");
}

TEST(ValueTest, AnExcerptIsShortAndEndsWithAWholeCharacter) {
  EXPECT_EQ(Excerpt("x"), "\"x\"");
  EXPECT_EQ(Excerpt(std::vector<int>(21, 1)), "a long array");
  std::string text = "a";
  for (int i = 0; i < 100; ++i) text += "\u00e9";
  const std::string shown = Excerpt(text);
  EXPECT_LE(shown.size(), 83u);
  EXPECT_TRUE(Parse(absl::StrCat(shown, "\""), "").ok());
}

}  // namespace
}  // namespace mellow::json
