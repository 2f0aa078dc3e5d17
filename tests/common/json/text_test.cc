// Parse and Write, with nlohmann's library as a second opinion.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "common/json/value.h"

namespace mellow::json {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(absl::string_view text, const ParseOptions& options = {}) {
  const absl::Status status = ParseObject(text, "file", options).status();
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ParseTest, ReadsEveryKind) {
  const auto value = Parse(R"({"a": {"b": [1, -2, 2.5, "x", null, true]}, "c": {}})", "file");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*value, Value({{"a", {{"b", Array{1, -2, 2.5, "x", nullptr, true}}}},
                           {"c", Value::MakeObject()}}));
  EXPECT_EQ(*Parse(" 3 ", ""), 3);
  EXPECT_EQ(*Parse("\xEF\xBB\xBF[]", ""), Value::MakeArray());
}

TEST(ParseTest, RefusesEverythingElseAndSaysWhereAndInWhichFile) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("file: not a JSON object in UTF-8: "));
  for (const char* text : {"{", "{} x", "{\"a\": nan}", "{\"a\": NaN}", "{\"\xff\": 1}", "{'a': 1}",
                           "{\"a\": 01}", "{\"a\": 1,}", "// x\n{}", "{\"a\": \"\\ud800\"}"})
    EXPECT_THAT(ErrorOf(text), HasSubstr("not a JSON object in UTF-8: syntax error")) << text;
  EXPECT_THAT(ErrorOf("{\"a\": x}"), HasSubstr("(byte 7)"));
  EXPECT_THAT(ErrorOf("{\n\"a\":\nx}"), HasSubstr("(line 3, byte 8)"));
  EXPECT_EQ(ErrorOf("[1]"), "file: not a JSON object in UTF-8: a list");
  EXPECT_EQ(ErrorOf("3"), "file: not a JSON object in UTF-8: a value alone");
  EXPECT_EQ(ErrorOf("null"), "file: not a JSON object in UTF-8: null alone");
  EXPECT_THAT(std::string(Parse("x", "").status().message()),
              ::testing::StartsWith("not JSON: syntax error"));
}

TEST(ParseTest, RefusesANameTwiceInOneObjectOnly) {
  EXPECT_THAT(ErrorOf(R"({"a": 1, "b": 2, "a": 3})"), HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(ErrorOf(R"({"x": {"a": 1, "a": 3}})"), HasSubstr("\"a\" is there twice"));
  EXPECT_EQ(ErrorOf(R"({"a": {"a": 1}, "b": {"a": 2}})"), "");
  std::string many = "{";
  for (int i = 0; i < 50; ++i) many += "\"" + std::to_string(i) + "\": 0, ";
  EXPECT_EQ(ErrorOf(many + "\"50\": 0}"), "");
  EXPECT_THAT(ErrorOf(many + "\"3\": 0}"), HasSubstr("\"3\" is there twice"));
  EXPECT_THAT(ErrorOf(many + "\"40\": 0}"), HasSubstr("\"40\" is there twice"));
}

TEST(ParseTest, OfANameThatComesTwiceTheLastMayCount) {
  const auto value = Parse(R"({"a": 1, "b": 2, "a": 3})", "", {.last_of_name_counts = true});
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(Write(*value), R"({"a":3,"b":2})");
}

TEST(ParseTest, RefusesDeepNestingWithoutBuildingIt) {
  EXPECT_THAT(ErrorOf("{\"a\":" + std::string(1'000'000, '[')), HasSubstr("nested deeper than 64"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(ErrorOf(objects), HasSubstr("nested deeper"));
  EXPECT_TRUE(Parse(std::string(64, '[') + std::string(64, ']'), "").ok());
  EXPECT_FALSE(Parse(std::string(65, '[') + std::string(65, ']'), "").ok());
}

TEST(ParseTest, AnIntegerIsExactAndALargerNumberADouble) {
  int64_t low = 0;
  EXPECT_TRUE(Parse("-9223372036854775808", "")->To(&low));
  EXPECT_EQ(low, INT64_MIN);
  uint64_t high = 0;
  EXPECT_TRUE(Parse("18446744073709551615", "")->To(&high));
  EXPECT_EQ(high, UINT64_MAX);
  EXPECT_TRUE(Parse("18446744073709551616", "")->is_double());
  EXPECT_THAT(ErrorOf("{\"a\": 1e999}"), HasSubstr("number overflow parsing '1e999'"));
  EXPECT_EQ(*Parse("1e-999", ""), 0);
}

TEST(ParseTest, NumbersMayStayAsTheyAreWritten) {
  const ParseOptions options = {.python_literals = true, .numbers_as_text = true};
  const auto text = [&](const char* number) {
    const auto value = Parse(absl::string_view(number), "", options);
    return value.ok() ? value->string() : std::string(value.status().message());
  };
  for (const char* number : {"5", "-7", "0.10", "1E5", "18446744073709551616", "1e999", "-1e999",
                             "123456789.123456789123456789"})
    EXPECT_EQ(text(number), number);
  for (const char* bad : {"01e999", "1.e999", "+1e999", "1e999x", ".5e999"})
    EXPECT_THAT(text(bad), HasSubstr("not JSON")) << bad;
  const auto row = ParseObject(R"({"a": "1e999 NaN", "b": 1e999, "c": [NaN]})", "", options);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ((*row)["a"], "1e999 NaN");
  EXPECT_EQ((*row)["b"], "1e999");
  EXPECT_TRUE(std::isnan((*row)["c"][0].number()));
}

TEST(ParseTest, PythonsLiteralsAreNumbersWhereTheyMayBe) {
  const auto value =
      Parse(R"([NaN, Infinity, -Infinity, "NaN \" Infinity"])", "", {.python_literals = true});
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_TRUE(std::isnan((*value)[0].number()));
  EXPECT_EQ((*value)[1], HUGE_VAL);
  EXPECT_EQ((*value)[2], -HUGE_VAL);
  EXPECT_EQ((*value)[3], "NaN \" Infinity");
  EXPECT_FALSE(Parse("[NaN x]", "", {.python_literals = true}).ok());
}

TEST(ParseTest, FractionsMayBeRoundedAsTheCallerSays) {
  const auto value = Parse("[1.5, 2]", "", {.to_double = [](absl::string_view) { return 7.0; }});
  EXPECT_EQ(Write(*value), "[7.0,2]");
}

TEST(WriteTest, ADoubleThatIsNotFiniteReadsBack) {
  const std::string text = Write(Array{std::nan(""), HUGE_VAL, -HUGE_VAL, 0.5});
  EXPECT_EQ(text, R"(["nan","inf","-inf",0.5])");
  const Value read = *Parse(text, "");
  double number = 0;
  EXPECT_TRUE(ReadNumber(read[0], &number) && std::isnan(number));
  EXPECT_TRUE(ReadNumber(read[1], &number) && number == HUGE_VAL);
  EXPECT_TRUE(ReadNumber(read[2], &number) && number == -HUGE_VAL);
  EXPECT_TRUE(ReadNumber(read[3], &number) && number == 0.5);
  EXPECT_FALSE(ReadNumber("NaN", &number));
  EXPECT_FALSE(ReadNumber(Value(), &number));
}

// The library's own writing of the same text, in the text's order and by name.
void ExpectAsTheLibrary(const std::string& text) {
  const absl::StatusOr<Value> ours = Parse(text, "");
  ASSERT_TRUE(ours.ok()) << text << ours.status();
  const auto ordered = nlohmann::ordered_json::parse(text);
  const auto sorted = nlohmann::json::parse(text);
  for (const int indentation : {-1, 0, 1, 2}) {
    EXPECT_EQ(Write(*ours, {.indentation = indentation}), ordered.dump(indentation));
    EXPECT_EQ(Write(*ours, {.indentation = indentation, .sorted = true}), sorted.dump(indentation));
  }
  const absl::StatusOr<Value> again = Parse(Write(*ours), "");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, *ours);
}

TEST(WriteTest, GivesTheLibrarysBytes) {
  for (const char* text :
       {"null", "true", "[]", "{}", "[[], {}, [[]]]", R"({"b": {"z": 1, "a": []}, "a": [1, {}]})",
        R"({"": 0, "\u0000\u001f\u007f\n\t\"\\/": "\b\f\r é 漢 😀"})",
        R"(["\u00e9", "\ud83d\ude00", "\u2028"])", "[0, -0, -0.0, 0.0, 1.0, -1, 1e5, 1e15, 1e16]",
        "[1e-5, 1e-4, 123456789012345680.0, 5e-324, 1.7976931348623157e308, 0.1, "
        "0.30000000000000004]",
        "[9223372036854775807, -9223372036854775808, 18446744073709551615, 18446744073709551616]"})
    ExpectAsTheLibrary(text);
}

TEST(WriteTest, GivesTheLibrarysBytesForNumbersOfAnySize) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double number = 0;
    static_assert(sizeof number == sizeof bits);
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) continue;
    ASSERT_EQ(Write(number), nlohmann::json(number).dump());
    const auto single = static_cast<float>(std::ldexp(static_cast<double>(bits >> 11), -60));
    ASSERT_EQ(Write(single), nlohmann::json(single).dump());
    double read = 0;
    ASSERT_TRUE(Parse(Write(number), "")->To(&read));
    ASSERT_EQ(std::memcmp(&read, &number, sizeof read), 0);
  }
}

TEST(WriteTest, BytesThatAreNotUtf8AreReplacedAsTheLibraryDoes) {
  std::mt19937 random(3);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 8, 'x');
    for (char& c : bytes) c = static_cast<char>(random() % 2 == 0 ? random() % 128 : random());
    ASSERT_EQ(Write(bytes),
              nlohmann::json(bytes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    ASSERT_EQ(Write({{bytes, 1}}),
              nlohmann::json({{bytes, 1}})
                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
}

}  // namespace
}  // namespace mellow::json
