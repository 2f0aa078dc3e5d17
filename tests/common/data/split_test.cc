#include "common/data/split.h"

#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::data {
namespace split_test {

using ::testing::HasSubstr;

Dataset MakeDataset(const std::vector<std::string>& texts) {
  std::vector<Row> rows;
  for (const std::string& text : texts)
    rows.push_back({static_cast<int>(rows.size()) + 1, {"x", text}});
  return Dataset("f.jsonl", {"id", "dialogue"}, rows);
}

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) texts.push_back(absl::StrCat("text ", i));
  return texts;
}

std::set<std::string> Texts(const Dataset& dataset) {
  std::set<std::string> texts;
  for (const Row& row : dataset.rows()) texts.insert(row.values[1]);
  return texts;
}

TEST(SplitRowsTest, WithoutASeedTheFirstRowsTrain) {
  const auto split = SplitRows(MakeDataset({"a", "b", "c", "d"}), {.train_fraction = 0.5});
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(Texts(split->train), (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(Texts(split->test), (std::set<std::string>{"c", "d"}));
}

TEST(SplitRowsTest, ASeedDrawsAboutThatShareAndEveryRowIsOnOneSide) {
  for (const double fraction : {0.2, 0.5, 0.9}) {
    const auto split =
        SplitRows(MakeDataset(Numbered(4000)), {.train_fraction = fraction, .seed = 7});
    ASSERT_TRUE(split.ok()) << split.status();
    const double sd = std::sqrt(4000 * fraction * (1 - fraction));
    EXPECT_NEAR(static_cast<double>(split->train.rows().size()), 4000 * fraction, 5 * sd);
    EXPECT_EQ(split->train.rows().size() + split->test.rows().size(), 4000u);
  }
}

TEST(SplitRowsTest, OtherSeedsDrawOtherRowsAndALargerShareKeepsThoseOfASmallerOne) {
  const Dataset all = MakeDataset(Numbered(200));
  const auto first = Texts(SplitRows(all, {.train_fraction = 0.5, .seed = 1})->train);
  EXPECT_EQ(Texts(SplitRows(all, {.train_fraction = 0.5, .seed = 1})->train), first);
  EXPECT_NE(Texts(SplitRows(all, {.train_fraction = 0.5, .seed = 2})->train), first);
  const auto more = Texts(SplitRows(all, {.train_fraction = 0.6, .seed = 1})->train);
  EXPECT_THAT(more, ::testing::IsSupersetOf(first));
}

TEST(SplitRowsTest, EqualTextsStayTogetherWhateverElseIsInTheFile) {
  std::vector<std::string> texts = Numbered(100);
  const SplitRule rule = {.train_fraction = 0.5, .seed = 3};
  const auto before = SplitRows(MakeDataset(texts), rule);
  for (int i = 99; i >= 0; --i)  // again, in another order, with other white space
    texts.insert(texts.begin(), absl::StrCat(" text\r\n", i, "  "));
  const auto after = SplitRows(MakeDataset(texts), rule);
  EXPECT_EQ(after->train.rows().size(), 2 * before->train.rows().size());
  EXPECT_THAT(Texts(after->train), ::testing::IsSupersetOf(Texts(before->train)));
  EXPECT_THAT(Texts(after->test), ::testing::IsSupersetOf(Texts(before->test)));
}

TEST(SplitRowsTest, SaysWhichFieldIsWrong) {
  const Dataset dataset = MakeDataset({"a"});
  const auto error = [&](const SplitRule& rule) {
    const absl::Status status = SplitRows(dataset, rule).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(error({.train_fraction = 1.1}), HasSubstr("data.train_fraction: 1.1"));
  EXPECT_THAT(error({.train_fraction = std::nan("")}), HasSubstr("data.train_fraction: nan"));
  EXPECT_THAT(error({.train_fraction = 1, .seed = 4}), HasSubstr("data.split_seed: 4"));
  EXPECT_THAT(error({.train_fraction = 0, .seed = 4}), HasSubstr("data.train_fraction"));
  EXPECT_THAT(error({.train_fraction = 0.5, .seed = 4, .column = ""}), HasSubstr("split_column"));
  EXPECT_THAT(error({.train_fraction = 0.5, .seed = 4, .column = "no"}), HasSubstr("no column no"));
  std::vector<NeededColumn> columns;
  SplitRule{}.AddNeededColumn(&columns);
  EXPECT_TRUE(columns.empty()) << "files that split in order need no such column";
  SplitRule{.train_fraction = 0.5, .seed = 4}.AddNeededColumn(&columns);
  EXPECT_EQ(columns.at(0).field, "data.split_column");
}

}  // namespace split_test
}  // namespace mellow::data
