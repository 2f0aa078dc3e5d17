#include "services/learner/sft/sft_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/text/load_tokenizer.h"
#include "tests/services/learner/sft_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SftDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = text::LoadTokenizer(kSftModel);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    plan_.path = folder_ / "data.csv";
    plan_.prompt_template = "Summarize: {dialogue}";
  }
  void Write(const std::string& text) { std::ofstream(plan_.path) << text; }
  std::string ErrorOf() {
    const auto data = LoadSftData(plan_, 1, *tokenizer_);
    EXPECT_TRUE(absl::IsInvalidArgument(data.status())) << data.status();
    return std::string(data.status().message());
  }

  testing::TempFolder folder_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  data::DataSpec plan_;
};

TEST_F(SftDataTest, PromptsAndSummariesEndWithTheEndToken) {
  Write("id,dialogue,summary\n1,Hello there.,A greeting.\n2,\"Two\nlines, quoted\",Second.\n");
  const auto data = LoadSftData(plan_, 1, *tokenizer_);
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(data->train.size(), 2u);
  EXPECT_EQ(data->train[0].source_ids, *tokenizer_->Encode("Summarize: Hello there."));
  EXPECT_EQ(data->train[0].target_ids, *tokenizer_->Encode("A greeting."));
  EXPECT_EQ(data->train[1].target_ids.back(), 1);
}

TEST_F(SftDataTest, WhatIsTooLongIsCutAndCounted) {
  Write("dialogue,summary\na b c d e f g h,a b c d e f g h\na,b\n");
  plan_.max_source_tokens = 6;
  plan_.max_target_tokens = 5;
  const auto data = LoadSftData(plan_, 1, *tokenizer_);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train[0].source_ids.size(), 6u);
  EXPECT_EQ(data->train[0].target_ids.size(), 5u);
  EXPECT_EQ(data->train[0].target_ids.back(), 1);
  EXPECT_EQ(data->truncated_targets, 1);
  EXPECT_GE(data->truncated_sources, 1);
}

TEST_F(SftDataTest, FiltersThenTakesTheFirstPartThenHoldsOut) {
  std::string text = "dialogue,summary\n";
  for (int i = 0; i < 20; ++i)
    text += (i % 2 == 0 ? "short,s" : "a longer one,s") + std::to_string(i) + "\n";
  Write(text);
  plan_.min_chars = 5;
  plan_.split.train_fraction = 0.8;
  plan_.dev_fraction = 0.25;
  const auto data = LoadSftData(plan_, 1, *tokenizer_);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train.size(), 6u);
  EXPECT_EQ(data->dev.size(), 2u);
  const auto other = LoadSftData(plan_, 2, *tokenizer_);
  EXPECT_NE(other->sha256, data->sha256) << "the seed draws the dev split";
  EXPECT_EQ(LoadSftData(plan_, 1, *tokenizer_)->sha256, data->sha256);
}

TEST_F(SftDataTest, ADevFileIsReadLikeTheOther) {
  Write("dialogue,summary\na,b\n");
  plan_.dev_path = folder_ / "dev.jsonl";
  std::ofstream(plan_.dev_path) << R"({"dialogue": "x", "summary": "y"})"
                                << "\n"
                                << R"({"dialogue": "x", "summary": "z"})"
                                << "\n";
  plan_.max_dev_rows = 1;
  const auto data = LoadSftData(plan_, 1, *tokenizer_);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train.size(), 1u);
  EXPECT_EQ(data->dev.size(), 1u);
}

TEST_F(SftDataTest, ErrorsNameFieldFileAndLines) {
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("data.path"), HasSubstr("data.csv")));
  Write("");
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("data.path"), HasSubstr("data.csv")));
  Write("dialogue,summary\n");
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("data.csv"), HasSubstr("no rows")));
  Write("dialogue,summary\na,b\nc,\nd,  \ne,f\n");
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("2 rows"), HasSubstr("summary"), HasSubstr("line 3, 4")));
  Write("dialogue,text\na,b\n");
  EXPECT_THAT(ErrorOf(),
              AllOf(HasSubstr("data.summary_column"), HasSubstr("summary"), HasSubstr("text")));
  Write("talk,summary\na,b\n");
  EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("data.prompt_template"), HasSubstr("dialogue")));
  Write("dialogue,summary\na,b\n");
  plan_.min_chars = 10;
  EXPECT_THAT(ErrorOf(), HasSubstr("none of 1 rows is left"));
  plan_.min_chars.reset();
  plan_.dev_fraction = 0.5;
  EXPECT_THAT(ErrorOf(), HasSubstr("0 of 1 rows are left to train on"));
  plan_.prompt_template = "Summarize.";
  EXPECT_THAT(ErrorOf(), HasSubstr("no column in braces"));
}

}  // namespace
}  // namespace mellow::learner
