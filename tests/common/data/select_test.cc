#include "common/data/select.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::data {
namespace select_test {

using ::testing::ElementsAre;

Dataset MakeDataset(const std::vector<std::string>& texts) {
  std::vector<Row> rows;
  for (const std::string& text : texts) rows.push_back({static_cast<int>(rows.size()) + 1, {text}});
  return Dataset("f.jsonl", {"text"}, rows);
}

std::vector<int> Lines(const Dataset& dataset) {
  std::vector<int> lines;
  for (const Row& row : dataset.rows()) lines.push_back(row.line);
  return lines;
}

TEST(FilterByLengthTest, MinimumIsExclusiveMaximumInclusiveInCharacters) {
  const Dataset dataset = MakeDataset({"", "ab", "\u00E9\u65E5", "abc",
                                       "\U0001F600\u00E9"
                                       "abc",
                                       "abcdef"});
  EXPECT_THAT(Lines(*FilterByLength(dataset, {.column = "text", .min_chars = 2, .max_chars = 5})),
              ElementsAre(4, 5));
  EXPECT_THAT(Lines(*FilterByLength(dataset, {.column = "text", .max_chars = 2})),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(Lines(*FilterByLength(dataset, {.column = "text", .min_chars = 5})), ElementsAre(6));
  EXPECT_EQ(FilterByLength(dataset, {.column = "no"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(SplitInOrderTest, TheFirstShareIsTrainRoundedDown) {
  const Dataset dataset = MakeDataset({"a", "b", "c", "d"});
  EXPECT_THAT(Lines(SplitInOrder(dataset, 0.8)->train), ElementsAre(1, 2, 3));
  EXPECT_THAT(Lines(SplitInOrder(dataset, 0.8)->test), ElementsAre(4));
  EXPECT_THAT(Lines(SplitInOrder(dataset, 0.0)->test), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Lines(SplitInOrder(dataset, 1.0)->train), ElementsAre(1, 2, 3, 4));
}

TEST(SplitInOrderTest, RoundingErrorsOfTheFractionLoseNoRow) {
  const Dataset dataset = MakeDataset(std::vector<std::string>(100, "x"));
  for (int percent = 0; percent <= 100; ++percent) {
    EXPECT_EQ(SplitInOrder(dataset, percent / 100.0)->train.rows().size(),
              static_cast<size_t>(percent));
  }
}

TEST(SplitInOrderTest, RejectsWhatIsNoFraction) {
  for (const double fraction : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(SplitInOrder(MakeDataset({}), fraction).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace select_test
}  // namespace mellow::data
