#include "common/text/classifier_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/text/load_tokenizer.h"
#include "tests/testing/source_tree.h"

namespace mellow::text {
namespace classifier_input_test {

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
  EXPECT_THAT(error("a", "b", 3), HasSubstr("the special tokens alone are 4"));
}

TEST(TextPairTest, IsFramedAsTheTokenizerDoesIt) {
  const auto tokenizer = LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto a = (*tokenizer)->Encode("a");
  const auto b = (*tokenizer)->Encode("b");
  ASSERT_TRUE(a.ok() && b.ok());
  std::vector<int32_t> both = *a;
  both.insert(both.end(), b->begin(), b->end());
  const auto input = EncodeForClassifier(**tokenizer, "a", "b", 10);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->ids, both);
}

TEST(ClassifierWindowTest, IsTheFoldersMaximumWhereThatIsLess) {
  constexpr char kVocab[] = R"({"<s>": 0, "</s>": 1, "a": 2})";
  const auto tokenizer = MakeTokenizer({{"vocab.json", kVocab},
                                        {"merges.txt", "#version: 0.2\n"},
                                        {"tokenizer_config.json", R"({"model_max_length": 4})"}},
                                       "dir");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto cut = EncodeForClassifier(**tokenizer, "aaaa", "", 512);
  EXPECT_EQ(cut->ids, (std::vector<int32_t>{0, 2, 2, 1}));
  EXPECT_TRUE(cut->truncated);
  EXPECT_FALSE(EncodeForClassifier(**tokenizer, "aa", "", 512)->truncated);
  EXPECT_EQ(EncodeForClassifier(**tokenizer, "aaaa", "", 3)->ids, (std::vector<int32_t>{0, 2, 1}));
}

}  // namespace classifier_input_test
}  // namespace mellow::text
