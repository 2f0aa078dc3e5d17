#include "common/text/classifier_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/source_tree.h"

namespace mellow::text {
namespace {

using ::testing::HasSubstr;

class ClassifierInputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = LoadTokenizer(SourceTree("/deploy/models/mini-toxicity"));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(ClassifierInputTest, OneTextIsCutAtItsEnd) {
  const std::vector<int32_t> whole = *tokenizer_->Encode("you are a fool, and so am I");
  const int size = static_cast<int>(whole.size());
  const auto fits = EncodeForClassifier(*tokenizer_, "you are a fool, and so am I", "", size);
  EXPECT_EQ(fits->ids, whole);
  EXPECT_FALSE(fits->truncated);
  const auto cut = EncodeForClassifier(*tokenizer_, "you are a fool, and so am I", "", size - 1);
  EXPECT_EQ(cut->ids, *tokenizer_->Encode("you are a fool, and so am I", size - 1));
  EXPECT_TRUE(cut->truncated);
}

TEST_F(ClassifierInputTest, WhatCannotBeReadIsNamed) {
  const auto error = [&](const char* text, const char* pair, int window) {
    return std::string(EncodeForClassifier(*tokenizer_, text, pair, window).status().message());
  };
  EXPECT_THAT(error("a", "b\xff", 10), HasSubstr("text_pair: the text is not UTF-8 at byte 1"));
  EXPECT_THAT(error("\xff", "b", 10), HasSubstr("text: the text is not UTF-8 at byte 0"));
  EXPECT_THAT(error("a", "b", 3), HasSubstr("reads 3 tokens"));
}

TEST(TextPairTest, NeedsATokenizerThatPutsTextsBetweenTwoTokens) {
  const auto tokenizer = LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_TRUE(absl::IsUnimplemented(EncodeForClassifier(**tokenizer, "a", "b", 10).status()));
}

}  // namespace
}  // namespace mellow::text
