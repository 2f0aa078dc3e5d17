#include "common/json/struct_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/types/span.h"

namespace mellow::json {

enum class Color { kRed, kGreen };
absl::Span<const Color> EnumValues(Color) {
  static constexpr Color kAll[] = {Color::kRed, Color::kGreen};
  return kAll;
}
absl::string_view EnumName(Color color) { return color == Color::kRed ? "red" : "green"; }

struct Part {
  std::string name;
  Color color = Color::kRed;
};
struct Whole {
  int schema = 1;
  bool flag = false;
  uint64_t seed = 0;
  double share = 0;
  std::vector<Part> parts;
  std::optional<double> bound;
  std::map<std::string, double> numbers;
};

template <typename F>
void Fields(F& f, Part& x) {
  f("name", x.name);
  f("color", x.color);
}
template <typename F>
void Fields(F& f, Whole& x) {
  f("schema", x.schema);
  f("flag", x.flag);
  f("seed", x.seed);
  f("share", x.share);
  f("parts", x.parts);
  f("bound", x.bound);
  f("numbers", x.numbers);
}

namespace {

using ::testing::HasSubstr;

constexpr char kText[] =
    R"({"schema":1,"flag":true,"seed":18446744073709551615,"share":"nan",)"
    R"("parts":[{"name":"a","color":"green"}],"bound":null,"numbers":{"x":"-inf","y":0.1}})";

TEST(StructJsonTest, ReadsBackWhatItWrites) {
  const absl::StatusOr<Whole> whole = StructFromJson<Whole>(kText, 1, "wholes");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_TRUE(whole->flag);
  EXPECT_EQ(whole->seed, UINT64_MAX);
  EXPECT_TRUE(std::isnan(whole->share));
  EXPECT_EQ(whole->parts[0].color, Color::kGreen);
  EXPECT_EQ(whole->numbers.at("x"), -HUGE_VAL);
  EXPECT_EQ(StructToJson(*whole, -1), kText);
}

TEST(StructJsonTest, NamesThePathOfWhatIsWrong) {
  const auto error = [](const char* from, const char* to) {
    std::string text = kText;
    text.replace(text.find(from), std::string(from).size(), to);
    return std::string(StructFromJson<Whole>(text, 1, "wholes").status().message());
  };
  EXPECT_EQ(error("true", "1"), "flag: true or false is needed");
  EXPECT_EQ(error("18446744073709551615", "-1"), "seed: a whole number >= 0 is needed");
  EXPECT_EQ(error("\"green\"", "\"blue\""), "parts[0].color: red or green is needed");
  EXPECT_EQ(error("\"name\"", "\"title\""), "parts[0].name is missing");
  EXPECT_EQ(error("\"-inf\"", "\"much\""), "numbers.x: a number is needed");
  EXPECT_EQ(error("\"schema\":1", "\"schema\":2"),
            "schema: 2; this program reads wholes of schema 1");
  EXPECT_EQ(error("\"bound\":null,", ""), "");
  EXPECT_THAT(error("{", "["), HasSubstr("not a JSON object in UTF-8"));
}

}  // namespace
}  // namespace mellow::json
