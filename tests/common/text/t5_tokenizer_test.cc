#include "common/text/t5_tokenizer.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// 3 "▁", 4 "a", 5 "▁b", 6 "b", 7 "c"; two sentinels: 8 <extra_id_1>, 9 <extra_id_0>.
std::unique_ptr<Tokenizer> Make(TokenizerConfig config = {}) {
  if (!config.extra_ids.has_value()) config.extra_ids = 2;
  const std::string charsmap =
      CharsmapBlob({{"\n", " "}, {"\t", " "}, {"\uFF1C", "<"}, {"\uFF1E", ">"}});
  const std::string file =
      SpmFile({{"\u2581", -2}, {"a", -3}, {"\u2581b", -3}, {"b", -4}, {"c", -4}}, charsmap);
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeT5Tokenizer(file, config);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::vector<int32_t> Encode(absl::string_view text, const TokenizerConfig& config = {},
                            int max_tokens = 0) {
  const auto ids = Make(config)->Encode(text, max_tokens);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.value_or(std::vector<int32_t>{-1});
}

TEST(T5TokenizerTest, WordsBeginWithASpacePieceAndTheTextEndsInEos) {
  EXPECT_THAT(Encode("ab b"), ElementsAre(3, 4, 6, 5, 1));
  EXPECT_THAT(Encode(""), ElementsAre(1));
  EXPECT_THAT(Encode("\u2581"
                     "a"),
              ElementsAre(3, 4, 1));
}

TEST(T5TokenizerTest, KeepsOnePieceForTrailingWhiteSpace) {
  EXPECT_THAT(Encode("a\n"), ElementsAre(3, 4, 3, 1));
  EXPECT_THAT(Encode("a \n\t "), ElementsAre(3, 4, 3, 1));
  EXPECT_THAT(Encode(" "), ElementsAre(3, 1));
}

TEST(T5TokenizerTest, DropsTrailingWhiteSpaceWhereTokenizerJsonSaysSo) {
  const TokenizerConfig strip = {.has_tokenizer_json = true, .strip_right = true};
  EXPECT_THAT(Encode("a \n", strip), ElementsAre(3, 4, 1));
  EXPECT_THAT(Encode(" \n", strip), ElementsAre(1));
  const TokenizerConfig split = {.has_tokenizer_json = true, .split_whitespace = true};
  EXPECT_THAT(Encode("\n a\u3000\u00A0"
                     "a ",
                     split),
              ElementsAre(3, 4, 3, 4, 1));
  // transformers passes over tokenizer.json in this case.
  EXPECT_THAT(Encode("a \n", {.add_prefix_space = true, .has_tokenizer_json = true}),
              ElementsAre(3, 4, 1));
}

TEST(T5TokenizerTest, RunsOfSpacesAreOne) {
  EXPECT_THAT(Encode("  a \n b"), ElementsAre(3, 4, 5, 1));
}

TEST(T5TokenizerTest, FindsAddedTokensVerbatim) {
  EXPECT_THAT(Encode("a</s>b"), ElementsAre(3, 4, 1, 5, 1));
  EXPECT_THAT(Encode("<pad><unk>"), ElementsAre(0, 2, 1));
  EXPECT_THAT(Encode("a <extra_id_0><extra_id_1>"), ElementsAre(3, 4, 3, 9, 8, 1));
}

TEST(T5TokenizerTest, FindsPiecesThatOnlyNormalisationMakes) {
  EXPECT_THAT(Encode("\uFF1C/s\uFF1E"), ElementsAre(3, 1, 1));
  EXPECT_THAT(Encode("\uFF1C"
                     "extra_id_0\uFF1E"),
              ElementsAre(3, 9, 1));
}

TEST(T5TokenizerTest, FindsNormalizedAddedTokensInTheNormalizedText) {
  const TokenizerConfig config = {
      .added_tokens = {{.content = "<\n>", .id = 10, .normalized = true, .special = false}}};
  EXPECT_THAT(Encode("a\uFF1C\t>", config), ElementsAre(3, 4, 10, 1));
}

TEST(T5TokenizerTest, UnknownCharactersAreUnk) {
  EXPECT_THAT(Encode("a\u65E5\u672C"), ElementsAre(3, 4, 2, 1));
}

TEST(T5TokenizerTest, TruncatesTheContentAndKeepsEos) {
  EXPECT_THAT(Encode("ab b", {}, 3), ElementsAre(3, 4, 1));
  EXPECT_THAT(Encode("ab b", {}, 1), ElementsAre(1));
  EXPECT_THAT(Encode("ab b", {}, 5), ElementsAre(3, 4, 6, 5, 1));
}

TEST(T5TokenizerTest, RejectsInvalidUtf8WithItsOffset) {
  const auto ids = Make()->Encode("ab\xFF");
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()), HasSubstr("byte 2"));
}

TEST(T5TokenizerTest, DecodesWithAndWithoutSpecialTokens) {
  const auto tokenizer = Make();
  const std::vector<int32_t> ids = {0, 3, 4, 5, 9, 1};
  EXPECT_EQ(*tokenizer->Decode(ids, /*skip_special_tokens=*/true), "a b");
  EXPECT_EQ(*tokenizer->Decode(ids, /*skip_special_tokens=*/false), "<pad> a b<extra_id_0></s>");
  EXPECT_EQ(*tokenizer->Decode({}, true), "");
}

TEST(T5TokenizerTest, DecodesPaddingOfTheModelToNothing) {
  const auto tokenizer = Make({.model_vocab_size = 16});
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(*tokenizer->Decode({4, 15, 4}, true), "aa");
  for (const int32_t id : {16, -1}) {
    const auto text = tokenizer->Decode({4, id}, true);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(text.status().message()), HasSubstr(absl::StrCat("ids[1] is ", id)));
  }
}

TEST(T5TokenizerTest, HasAHundredSentinelsUnlessToldOtherwise) {
  const std::string file = SpmFile({{"\u2581", -2}});
  EXPECT_EQ((*MakeT5Tokenizer(file, {}))->vocab_size(), 104);
  EXPECT_EQ(*(*MakeT5Tokenizer(file, {}))->Encode("<extra_id_0><extra_id_99>"),
            (std::vector<int32_t>{103, 4, 1}));
  EXPECT_EQ((*MakeT5Tokenizer(file, {.extra_ids = 0}))->vocab_size(), 4);
  const TokenizerConfig listed = {.added_tokens = {{.content = "<extra_id_0>", .id = 6}}};
  EXPECT_EQ((*MakeT5Tokenizer(file, listed))->vocab_size(), 7);
}

TEST(T5TokenizerTest, RejectsAVocabularyWithoutEos) {
  const std::string file = SpmPiece("<unk>", 0, kUnknown) + SpmPiece("a", -1);
  const auto tokenizer = MakeT5Tokenizer(file, {});
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("</s>"));
}

}  // namespace
}  // namespace mellow::text
