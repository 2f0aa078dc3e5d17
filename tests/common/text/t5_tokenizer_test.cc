// The tokenizer that transformers makes of spiece.model.

#include "common/text/load_tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace t5_tokenizer_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeOf(const std::string& spiece_model,
                                                  const std::string& config,
                                                  const std::string& model = "{}") {
  return MakeTokenizer(
      {{"spiece.model", spiece_model}, {"tokenizer_config.json", config}, {"config.json", model}},
      "dir");
}

// 3 "▁", 4 "a", 5 "▁b", 6 "b", 7 "c"; two sentinels: 8 <extra_id_1>, 9 <extra_id_0>.
constexpr char kConfig[] = R"({"extra_ids": 2})";
std::unique_ptr<Tokenizer> Make(const std::string& config = kConfig,
                                const std::string& model = "{}") {
  const std::string charsmap =
      CharsmapBlob({{"\n", " "}, {"\t", " "}, {"\uFF1C", "<"}, {"\uFF1E", ">"}});
  const std::string file =
      SpmFile({{"\u2581", -2}, {"a", -3}, {"\u2581b", -3}, {"b", -4}, {"c", -4}}, charsmap);
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeOf(file, config, model);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::vector<int32_t> Encode(absl::string_view text, const std::string& config = kConfig,
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

TEST(T5TokenizerTest, DropsTrailingWhiteSpace) {
  EXPECT_THAT(Encode("a\n"), ElementsAre(3, 4, 1));
  EXPECT_THAT(Encode("a \n\t \u3000"), ElementsAre(3, 4, 1));
  EXPECT_THAT(Encode(" "), ElementsAre(1));
  EXPECT_THAT(Encode("a </s>b "), ElementsAre(3, 4, 1, 5, 1));  // before an added token too
}

TEST(T5TokenizerTest, LegacyFalsePrefixesTheBeginningOfTheTextOnly) {
  constexpr char kNew[] = R"({"extra_ids": 2, "legacy": false})";
  EXPECT_THAT(Encode("b</s>b", kNew), ElementsAre(5, 1, 6, 1));
  EXPECT_THAT(Encode("</s>b", kNew), ElementsAre(1, 6, 1));
  EXPECT_THAT(Encode("</s> b", kNew), ElementsAre(1, 5, 1));
  EXPECT_THAT(Encode("b", R"({"extra_ids": 2, "add_prefix_space": false})"), ElementsAre(6, 1));
}

TEST(T5TokenizerTest, RunsOfSpacesAreOne) {
  EXPECT_THAT(Encode("  a \n b"), ElementsAre(3, 4, 5, 1));
}

TEST(T5TokenizerTest, FindsAddedTokensVerbatim) {
  EXPECT_THAT(Encode("a</s>b"), ElementsAre(3, 4, 1, 5, 1));
  EXPECT_THAT(Encode("<pad><unk>"), ElementsAre(0, 2, 1));
  EXPECT_THAT(Encode("a <extra_id_0><extra_id_1>"), ElementsAre(3, 4, 9, 8, 1));
}

TEST(T5TokenizerTest, FindsPiecesThatOnlyNormalizationMakes) {
  EXPECT_THAT(Encode("\uFF1C/s\uFF1E"), ElementsAre(3, 1, 1));
  EXPECT_THAT(Encode("\uFF1C"
                     "extra_id_0\uFF1E"),
              ElementsAre(3, 9, 1));
}

TEST(T5TokenizerTest, FindsNormalizedAddedTokensInTheNormalizedText) {
  constexpr char kAdded[] =
      R"({"extra_ids": 2, "added_tokens_decoder": {"10": {"content": "<\n>", "normalized": true}}})";
  EXPECT_THAT(Encode("a\uFF1C\t>", kAdded), ElementsAre(3, 4, 10, 1));
}

TEST(T5TokenizerTest, UnknownCharactersAreUnk) {
  EXPECT_THAT(Encode("a\u65E5\u672C"), ElementsAre(3, 4, 2, 1));
}

TEST(T5TokenizerTest, TruncatesTheContentAndKeepsEos) {
  EXPECT_THAT(Encode("ab b", kConfig, 3), ElementsAre(3, 4, 1));
  EXPECT_THAT(Encode("ab b", kConfig, 1), ElementsAre(1));
  EXPECT_THAT(Encode("ab b", kConfig, 5), ElementsAre(3, 4, 6, 5, 1));
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
  const auto tokenizer = Make(kConfig, R"({"vocab_size": 16})");
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(*tokenizer->Decode({4, 15, 4}, true), "aa");
  for (const int32_t id : {16, -1}) {
    const auto text = tokenizer->Decode({4, id}, true);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(text.status().message()), HasSubstr(absl::StrCat("ids[1] is ", id)));
  }
}

TEST(T5TokenizerTest, CleansUpSpacesWhereTheFolderSaysSo) {
  const std::string file = SpmFile({{"\u2581", -2}, {".", -3}, {"a", -3}});
  const std::vector<int32_t> ids = {5, 3, 4};
  EXPECT_EQ(*(*MakeOf(file, "{}"))->Decode(ids, true), "a .");
  EXPECT_EQ(*(*MakeOf(file, R"({"clean_up_tokenization_spaces": true})"))->Decode(ids, true), "a.");
}

TEST(T5TokenizerTest, PairsHaveAnEndEach) {
  const auto tokenizer = Make();
  EXPECT_EQ(*tokenizer->EncodePair("a", "b"), (std::vector<int32_t>{3, 4, 1, 5, 1}));
  // The longer one is cut first; then there is room for three ids, and the odd one goes to it.
  EXPECT_EQ(*tokenizer->EncodePair("a", "b b b b", 6), (std::vector<int32_t>{3, 4, 1, 5, 5, 1}));
  EXPECT_EQ(*tokenizer->EncodePair("a", "b b b b", 5), (std::vector<int32_t>{3, 1, 5, 5, 1}));
}

TEST(T5TokenizerTest, HasAHundredSentinelsUnlessToldOtherwise) {
  const std::string file = SpmFile({{"\u2581", -2}});
  const auto standard = MakeOf(file, "{}");
  EXPECT_EQ((*standard)->vocab_size(), 104);
  EXPECT_EQ(*(*standard)->Encode("<extra_id_0><extra_id_99>"), (std::vector<int32_t>{103, 4, 1}));
  EXPECT_EQ((*MakeOf(file, R"({"extra_ids": 0})"))->vocab_size(), 4);
  const auto contradiction =
      MakeOf(file, R"({"additional_special_tokens": ["<extra_id_0>"], "extra_ids": 2})");
  EXPECT_THAT(std::string(contradiction.status().message()), HasSubstr("extra_ids is 2"));
}

TEST(T5TokenizerTest, RejectsAVocabularyWithoutEos) {
  const std::string file = SpmPiece("<unk>", 0, kUnknown) + SpmPiece("a", -1);
  // The class adds an end token of its own; one of another name leaves none.
  const auto tokenizer = MakeOf(file, R"({"eos_token": "[end]"})");
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("</s>"));
}

}  // namespace t5_tokenizer_test
}  // namespace mellow::text
