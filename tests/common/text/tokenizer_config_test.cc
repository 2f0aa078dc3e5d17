#include "common/text/tokenizer_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace {

using testing::HasSubstr;

TEST(TokenizerConfigTest, AnEmptyFolderSaysNothing) {
  const absl::StatusOr<TokenizerConfig> config = ReadTokenizerConfig(MakeFolder({}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->added_tokens.empty());
  EXPECT_FALSE(config->extra_ids.has_value());
  EXPECT_FALSE(config->has_tokenizer_json);
  EXPECT_EQ(config->model_vocab_size, 0);
}

TEST(TokenizerConfigTest, ReadsAllThreeFiles) {
  const absl::StatusOr<TokenizerConfig> config = ReadTokenizerConfig(MakeFolder({
      {"tokenizer_config.json",
       R"({"extra_ids": 7, "add_prefix_space": null,
           "added_tokens_decoder": {"5": {"content": "<m>", "lstrip": true, "special": true}}})"},
      {"tokenizer.json",
       R"({"truncation": {"max_length": 3}, "added_tokens": 1, "model": {"vocab": [["a", 0]]},
           "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled"}, {"type": "Strip", "strip_right": true}]},
           "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}]}})"},
      {"config.json", R"({"vocab_size": 32128})"},
  }));
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->added_tokens.size(), 1u);
  EXPECT_EQ(config->added_tokens[0].content, "<m>");
  EXPECT_EQ(config->added_tokens[0].id, 5);
  EXPECT_TRUE(config->added_tokens[0].lstrip);
  EXPECT_FALSE(config->added_tokens[0].rstrip);
  EXPECT_EQ(config->extra_ids, 7);
  EXPECT_FALSE(config->add_prefix_space.has_value());
  EXPECT_TRUE(config->has_tokenizer_json);
  EXPECT_TRUE(config->strip_right);
  EXPECT_TRUE(config->split_whitespace);
  EXPECT_EQ(config->model_vocab_size, 32128);
}

TEST(TokenizerConfigTest, NamesTheFileAndTheFieldThatAreWrong) {
  const auto error = [](const char* file, const char* json) {
    const absl::StatusOr<TokenizerConfig> config = ReadTokenizerConfig(MakeFolder({{file, json}}));
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << json;
    return std::string(config.status().message());
  };
  EXPECT_THAT(error("tokenizer_config.json", "{"),
              HasSubstr("tokenizer_config.json: not a JSON object"));
  EXPECT_THAT(error("tokenizer.json", "[]"), HasSubstr("tokenizer.json: not a JSON object"));
  EXPECT_THAT(error("config.json", R"({"vocab_size": -1})"), HasSubstr("vocab_size"));
  EXPECT_THAT(error("tokenizer_config.json", R"({"extra_ids": "many"})"), HasSubstr("extra_ids"));
  EXPECT_THAT(error("tokenizer_config.json", R"({"extra_ids": 1e9})"), HasSubstr("extra_ids"));
  EXPECT_THAT(
      error("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})"),
      HasSubstr("added_tokens_decoder[x]"));
  EXPECT_THAT(error("tokenizer_config.json",
                    R"({"added_tokens_decoder": {"4000000000": {"content": "a"}}})"),
              HasSubstr("added_tokens_decoder[4000000000]"));
  EXPECT_THAT(error("tokenizer_config.json", R"({"added_tokens_decoder": {"1": {"content": ""}}})"),
              HasSubstr("added_tokens_decoder[1].content"));
  EXPECT_THAT(error("tokenizer_config.json",
                    R"({"added_tokens_decoder": {"1": {"content": "a", "lstrip": 1}}})"),
              HasSubstr("lstrip"));
  EXPECT_THAT(error("tokenizer_config.json",
                    R"({"added_tokens_decoder": {"1": {"content": "a", "single_word": true}}})"),
              HasSubstr("single_word"));
}

}  // namespace
}  // namespace mellow::text
