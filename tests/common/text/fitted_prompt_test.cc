#include "common/text/fitted_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/text/load_tokenizer.h"
#include "tests/testing/source_tree.h"

namespace mellow::text {
namespace fitted_prompt_test {

using ::testing::HasSubstr;

constexpr char kBefore[] = "\nSummarize the following conversation.\n\n";
constexpr char kAfter[] = "\n\nSummary:\n";

std::string Render(absl::string_view text) { return absl::StrCat(kBefore, text, kAfter); }

class FittedPromptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    for (int i = 0; i < 40; ++i)
      absl::StrAppend(&dialogue_, i % 2 == 0 ? "Anna: " : "Tom: ", "naïve café 日本 ", i, "\n");
  }
  int Count(absl::string_view text) {
    return static_cast<int>(tokenizer_->Encode(Render(text))->size());
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::string dialogue_;
};

TEST_F(FittedPromptTest, WhatFitsIsLeftAlone) {
  for (const int most : {0, Count(dialogue_), 1 << 20}) {
    const auto prompt = FitPrompt(*tokenizer_, Render, dialogue_, most);
    ASSERT_TRUE(prompt.ok()) << prompt.status();
    EXPECT_EQ(prompt->ids, *tokenizer_->Encode(Render(dialogue_)));
    EXPECT_EQ(prompt->uncut_tokens, prompt->tokens());
    EXPECT_FALSE(prompt->truncated());
  }
}

TEST_F(FittedPromptTest, TheTextIsCutAndTheTemplateIsNot) {
  const int whole = Count(dialogue_);
  for (int most = Count(""); most < whole; ++most) {
    const auto prompt = FitPrompt(*tokenizer_, Render, dialogue_, most);
    ASSERT_TRUE(prompt.ok()) << prompt.status();
    EXPECT_LE(prompt->tokens(), most);
    EXPECT_GE(prompt->tokens(), std::max(Count(""), most - 4)) << "one more character is too much";
    EXPECT_TRUE(prompt->truncated());
    EXPECT_EQ(prompt->uncut_tokens, whole);
    // The ids are those of the whole template around a beginning of the text.
    bool found = false;
    for (size_t bytes = 0; bytes <= dialogue_.size() && !found; ++bytes) {
      const auto ids = tokenizer_->Encode(Render(dialogue_.substr(0, bytes)));
      found = ids.ok() && *ids == prompt->ids;
    }
    EXPECT_TRUE(found) << most;
    if (most > Count("") + 20) most += 37;  // the others are alike
  }
}

TEST_F(FittedPromptTest, ATemplateThatIsTooLongIsAnError) {
  const auto prompt = FitPrompt(*tokenizer_, Render, dialogue_, Count("") - 1);
  EXPECT_TRUE(absl::IsInvalidArgument(prompt.status()));
  EXPECT_THAT(std::string(prompt.status().message()), HasSubstr("template alone has"));
}

TEST_F(FittedPromptTest, TextThatIsNotUtf8IsAnError) {
  EXPECT_FALSE(FitPrompt(*tokenizer_, Render, "a\xff", 0).ok());
}

}  // namespace fitted_prompt_test
}  // namespace mellow::text
