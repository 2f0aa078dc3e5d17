// What the JSON files beside a vocabulary say.

#include "common/text/files/tokenizer_config.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::text {
namespace tokenizer_config_test {

using ::testing::HasSubstr;

TokenizerConfig Read(const FileMap& files) {
  const absl::StatusOr<TokenizerConfig> config = ReadTokenizerConfig(files, "dir", nullptr);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(TokenizerConfig{});
}

TEST(TokenizerConfigTest, NoFilesSayNothing) {
  const TokenizerConfig config = Read({});
  EXPECT_TRUE(config.added_tokens.empty());
  EXPECT_FALSE(config.extra_ids.has_value());
  EXPECT_TRUE(config.legacy);
  EXPECT_EQ(config.model_max_length, 0);
  EXPECT_EQ(config.model_vocab_size, 0);
}

TEST(TokenizerConfigTest, ReadsTheConfiguration) {
  const TokenizerConfig config = Read({
      {"tokenizer_config.json",
       R"({"extra_ids": 7, "add_prefix_space": null, "legacy": false, "eos_token": "<e>",
           "truncation_side": "left", "model_max_length": 77, "chat_template": "{{ x }}",
           "pad_token": {"__type": "AddedToken", "content": "<p>", "rstrip": true},
           "added_tokens_decoder": {"5": {"content": "<e>", "lstrip": true, "special": true}}})"},
      {"special_tokens_map.json", R"({"eos_token": "<not read>"})"},
      {"added_tokens.json", R"({"<not read>": 9})"},
      {"config.json", R"({"vocab_size": 32128, "model_type": "t5"})"},
  });
  ASSERT_EQ(config.added_tokens.size(), 1u);
  const AddedToken expected = {.content = "<e>", .lstrip = true, .special = true};
  EXPECT_EQ(config.added_tokens.at(5), expected);
  EXPECT_TRUE(config.special[kEos]->has_flags);  // those of the added token
  EXPECT_EQ(config.special[kEos]->token, expected);
  EXPECT_TRUE(config.special[kPad]->token.rstrip);
  EXPECT_EQ(config.extra_ids, 7);
  EXPECT_FALSE(config.add_prefix_space.has_value());
  EXPECT_FALSE(config.legacy);
  EXPECT_EQ(config.truncate_left, true);
  EXPECT_EQ(config.model_max_length, 77);
  EXPECT_EQ(config.model_vocab_size, 32128);
}

TEST(TokenizerConfigTest, WhatNobodyKnowsIsAWarning) {
  const TokenizerConfig config = Read({
      {"tokenizer_config.json",
       R"({"tokenizer_class": "T5Tokenizer", "sp_model_kwargs": {"enable_sampling": true},
           "padding_side": "left", "extra_special_tokens": ["<e>"], "nothing": null,
           "strip_accents": true})"},
  });
  EXPECT_THAT(config.warnings, ::testing::ElementsAre("dir/tokenizer_config.json: key "
                                                      "\"strip_accents\" (true) is not known"));
}

TEST(TokenizerConfigTest, ReadsTheFilesOfOldWhereTheConfigurationHasNoTokens) {
  const TokenizerConfig config = Read({
      {"tokenizer_config.json", R"({"eos_token": "<e>", "additional_special_tokens": ["<a>"]})"},
      {"special_tokens_map.json",
       R"({"eos_token": {"content": "<f>", "lstrip": true}, "additional_special_tokens": ["<b>"]})"},
      {"added_tokens.json", R"({"<b>": 9, "word": 10})"},
  });
  EXPECT_EQ(config.special[kEos]->token,
            (AddedToken{.content = "<f>", .lstrip = true, .special = true}));
  EXPECT_EQ(config.additional_special_tokens->size(), 2u);
  EXPECT_EQ(config.added_tokens.at(9), (AddedToken{.content = "<b>", .special = true}));
  EXPECT_EQ(config.added_tokens.at(10), (AddedToken{.content = "word", .normalized = true}));
}

TEST(TokenizerConfigTest, NamesTheFileAndTheFieldThatAreWrong) {
  const auto error = [](const char* file, const std::string& json) {
    const absl::StatusOr<TokenizerConfig> config =
        ReadTokenizerConfig({{file, json}}, "dir", nullptr);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << json;
    return std::string(config.status().message());
  };
  const auto config = [&](const std::string& fields) {
    return error("tokenizer_config.json", absl::StrCat("{", fields, "}"));
  };
  EXPECT_THAT(error("tokenizer_config.json", "{"),
              HasSubstr("dir/tokenizer_config.json: not a JSON object"));
  EXPECT_THAT(error("config.json", R"({"vocab_size": -1})"), HasSubstr("vocab_size"));
  EXPECT_THAT(error("added_tokens.json", R"({"a": "b"})"),
              HasSubstr("dir/added_tokens.json: \"a\" is \"b\""));
  EXPECT_THAT(error("special_tokens_map.json", R"({"eos_token": 3})"), HasSubstr("eos_token"));
  EXPECT_THAT(config(R"("extra_ids": "many")"), HasSubstr("extra_ids"));
  EXPECT_THAT(config(R"("extra_ids": 1e9)"), HasSubstr("extra_ids"));
  EXPECT_THAT(config(R"("legacy": "no")"), HasSubstr("legacy"));
  EXPECT_THAT(config(R"("truncation_side": "up")"), HasSubstr("truncation_side"));
  EXPECT_THAT(config(R"("model_max_length": 0)"), HasSubstr("model_max_length"));
  EXPECT_THAT(config(R"("fast_tokenizer_files": ["tokenizer.4.0.0.json"])"),
              HasSubstr("fast_tokenizer_files"));
  EXPECT_THAT(config(R"("added_tokens_decoder": {"x": {"content": "a"}})"),
              HasSubstr("added_tokens_decoder[x]"));
  EXPECT_THAT(config(R"("added_tokens_decoder": {"4000000000": {"content": "a"}})"),
              HasSubstr("added_tokens_decoder[4000000000]"));
  EXPECT_THAT(config(R"("added_tokens_decoder": {"1": {"content": ""}})"),
              HasSubstr("added_tokens_decoder[1]: content"));
  EXPECT_THAT(config(R"("added_tokens_decoder": {"1": {"content": "a", "lstrip": 1}})"),
              HasSubstr("lstrip"));
  EXPECT_THAT(config(R"("added_tokens_decoder": {"1": {"content": "a", "glued": true}})"),
              HasSubstr("glued"));
}

}  // namespace tokenizer_config_test
}  // namespace mellow::text
