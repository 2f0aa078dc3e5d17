#include "services/orchestrator/rollouts/prompt_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

class PromptSourceTest : public ::testing::Test {
 protected:
  PromptSourceTest() {
    std::ofstream file(folder_ / "data.jsonl");
    for (int i = 0; i < 10; ++i) {
      file << R"({"dialogue": ")" << std::string(i + 1, static_cast<char>('a' + i))
           << R"(", "summary": "s"})"
           << "\n";
    }
    config_ = MakeRunConfig(/*steps=*/1);
    config_.data.path = folder_ / "data.jsonl";
    config_.data.prompt_template = "{dialogue}";
  }
  std::string TextOf(const PromptSource& source, uint64_t index) {
    const auto prompt = source.Draw(index);
    EXPECT_TRUE(prompt.ok()) << prompt.status();
    return *tokenizer_.Decode(prompt->ids, true);
  }
  std::string ErrorOf() {
    const auto source = OpenPromptSource(config_, &tokenizer_);
    EXPECT_EQ(source.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(source.status().message());
  }

  testing::TempFolder folder_;
  FakeTokenizer tokenizer_;
  RunConfig config_;
};

TEST_F(PromptSourceTest, EveryEpochHasEveryRowOnceInAnotherOrder) {
  const auto source = OpenPromptSource(config_, &tokenizer_);
  ASSERT_TRUE(source.ok()) << source.status();
  std::vector<std::string> first;
  std::vector<std::string> second;
  for (int i = 0; i < 10; ++i) first.push_back(TextOf(**source, i));
  for (int i = 10; i < 20; ++i) second.push_back(TextOf(**source, i));
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), 10u);
  EXPECT_EQ(std::set<std::string>(second.begin(), second.end()).size(), 10u);
  EXPECT_EQ(TextOf(**source, 3), first[3]) << "going back gives the same";
}

TEST_F(PromptSourceTest, FiltersByLengthAndTakesTheFirstFraction) {
  config_.data.min_chars = 2;
  config_.data.max_chars = 8;
  config_.data.split.train_fraction = 0.5;
  const auto source = OpenPromptSource(config_, &tokenizer_);
  ASSERT_TRUE(source.ok()) << source.status();
  std::set<std::string> texts;
  for (int i = 0; i < 3; ++i) texts.insert(TextOf(**source, i));
  EXPECT_EQ(texts, (std::set<std::string>{"ccc", "dddd", "eeeee"}));
}

TEST_F(PromptSourceTest, StepsFollowEachOtherOverTheEndOfAnEpoch) {
  const auto source = OpenPromptSource(config_, &tokenizer_);
  ASSERT_TRUE(source.ok());
  const auto second = StepPrompts(**source, config_, 2);
  ASSERT_TRUE(second.ok());
  ASSERT_EQ(second->size(), 8u);
  EXPECT_EQ(second->front().prompt_index, 8u);
  EXPECT_EQ(second->back().prompt_index, 15u);
}

TEST_F(PromptSourceTest, LengthsAreDrawnFromTheHalfOpenRangeAndDependOnNothingElse) {
  config_.sampling.length_sampler_min = 4;
  config_.sampling.length_sampler_max = 7;
  std::set<int> lengths;
  for (uint64_t i = 0; i < 200; ++i) {
    lengths.insert(*DrawLength(config_, i));
    EXPECT_EQ(DrawLength(config_, i), DrawLength(config_, i));
  }
  EXPECT_EQ(lengths, (std::set<int>{4, 5, 6}));
  RunConfig other = config_;
  other.seed = 8;
  int different = 0;
  for (uint64_t i = 0; i < 50; ++i) different += DrawLength(config_, i) != DrawLength(other, i);
  EXPECT_GT(different, 10);
  EXPECT_FALSE(DrawLength(MakeRunConfig(1), 0).has_value());
}

TEST_F(PromptSourceTest, ErrorsNameTheFieldOfTheRunFile) {
  config_.data.prompt_template = "{dialog}";
  EXPECT_THAT(ErrorOf(), HasSubstr("data.prompt_template: "));
  config_.data.prompt_template = "no column";
  EXPECT_THAT(ErrorOf(), HasSubstr("data.prompt_template: no column"));
  config_.data.prompt_template = "{dialogue}";
  config_.data.filter_column = "lines";
  config_.data.min_chars = 1;
  EXPECT_THAT(ErrorOf(), HasSubstr("data.filter_column: "));
  config_.data.filter_column = "dialogue";
  config_.data.min_chars = 1000;
  EXPECT_THAT(ErrorOf(), HasSubstr("0 rows are left"));
  config_.data.path = folder_ / "none.jsonl";
  EXPECT_THAT(ErrorOf(), HasSubstr("data.path: "));
  EXPECT_THAT(ErrorOf(), HasSubstr("none.jsonl"));
}

}  // namespace
}  // namespace mellow::orchestrator
