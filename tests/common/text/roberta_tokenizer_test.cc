// The tokenizer that transformers makes of vocab.json and merges.txt.

#include <climits>

#include "common/text/load_tokenizer.h"
#include "common/text/pipeline/byte_level.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace roberta_tokenizer_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// RoBERTa's special tokens 0 to 3, byte b at 4 + b, then "he" 260, "Ġhe" 261, and <mask> 262.
std::string VocabJson() {
  std::string json = R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3)";
  for (int byte = 0; byte < 256; ++byte) {
    std::string character = ByteCharacters()[byte];
    if (character == "\"" || character == "\\") character = "\\" + character;
    absl::StrAppend(&json, ", \"", character, "\": ", 4 + byte);
  }
  return json + ", \"he\": 260, \"\u0120he\": 261, \"<mask>\": 262}";
}
constexpr char kMerges[] = "#version: 0.2\nh e\n\u0120 he\n";

std::unique_ptr<Tokenizer> Make(const std::string& config = "{}", const std::string& model = "{}") {
  auto tokenizer = MakeTokenizer({{"vocab.json", VocabJson()},
                                  {"merges.txt", kMerges},
                                  {"tokenizer_config.json", config},
                                  {"config.json", model}},
                                 "dir");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::vector<int32_t> Encode(absl::string_view text, const std::string& config = "{}",
                            int max_tokens = 0) {
  const auto ids = Make(config)->Encode(text, max_tokens);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.value_or(std::vector<int32_t>{-1});
}

TEST(RobertaTokenizerTest, PutsBytesBetweenBosAndEos) {
  EXPECT_THAT(Encode(""), ElementsAre(0, 2));
  EXPECT_THAT(Encode("he he!"), ElementsAre(0, 260, 261, 4 + '!', 2));
  EXPECT_THAT(Encode("\u00E9"), ElementsAre(0, 4 + 0xC3, 4 + 0xA9, 2));
}

TEST(RobertaTokenizerTest, FindsSpecialTokensAndMaskSwallowsTheSpaceBeforeIt) {
  EXPECT_THAT(Encode("he <mask> he"), ElementsAre(0, 260, 262, 261, 2));
  EXPECT_THAT(Encode("</s><pad>"), ElementsAre(0, 2, 1, 2));
  EXPECT_THAT(Encode("he <unk>"), ElementsAre(0, 260, 4 + ' ', 3, 2));
}

TEST(RobertaTokenizerTest, AddsAPrefixSpaceOnRequest) {
  EXPECT_THAT(Encode("he", R"({"add_prefix_space": true})"), ElementsAre(0, 261, 2));
  EXPECT_THAT(Encode(" he", R"({"add_prefix_space": true})"), ElementsAre(0, 261, 2));
}

TEST(RobertaTokenizerTest, TheConfigurationOverridesSpecialTokens) {
  constexpr char kConfig[] = R"({"mask_token": "<mask>", "added_tokens_decoder": {
      "262": {"content": "<mask>", "special": true}, "263": {"content": "[new]"}}})";
  EXPECT_THAT(Encode("he <mask>[new]", kConfig), ElementsAre(0, 260, 4 + ' ', 262, 263, 2));
  EXPECT_EQ(Make(kConfig)->vocab_size(), 264);
}

TEST(RobertaTokenizerTest, TruncatesTheContentAndKeepsTheFrame) {
  EXPECT_THAT(Encode("he he he", "{}", 4), ElementsAre(0, 260, 261, 2));
  EXPECT_THAT(Encode("he he he", "{}", 2), ElementsAre(0, 2));
  EXPECT_THAT(Encode("he he he", "{}", 5), ElementsAre(0, 260, 261, 261, 2));
  EXPECT_EQ(Make()->Encode("he", 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(RobertaTokenizerTest, TruncatesTheBeginningOnRequest) {
  EXPECT_THAT(Encode("he he he!", R"({"truncation_side": "left"})", 4),
              ElementsAre(0, 261, 4 + '!', 2));
}

TEST(RobertaTokenizerTest, PairsHaveTwoEndsBetweenThem) {
  EXPECT_EQ(*Make()->EncodePair("he", "he"), (std::vector<int32_t>{0, 260, 2, 2, 260, 2}));
  EXPECT_EQ(*Make()->EncodePair("he he he", "he", 7),
            (std::vector<int32_t>{0, 260, 261, 2, 2, 260, 2}));
}

TEST(RobertaTokenizerTest, SaysTheFoldersMaximum) {
  EXPECT_EQ(Make(R"({"model_max_length": 128})")->model_max_length(), 128);
  EXPECT_EQ(Make(R"({"model_max_length": 1000000000000000019884624838656})")->model_max_length(),
            INT_MAX);
  EXPECT_EQ(Make()->model_max_length(), INT_MAX);
}

TEST(RobertaTokenizerTest, DecodesBytesAndReplacesBrokenCharacters) {
  const auto tokenizer = Make();
  EXPECT_EQ(*tokenizer->Decode({0, 260, 261, 4 + 0xC3, 4 + 0xA9, 2}, true), "he he\u00E9");
  EXPECT_EQ(*tokenizer->Decode({0, 260, 262, 2}, false), "<s>he<mask></s>");
  EXPECT_EQ(*tokenizer->Decode({4 + 0xC3, 260}, true), "\uFFFDhe");
  EXPECT_EQ(tokenizer->Decode({263}, true).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*Make("{}", R"({"vocab_size": 300})")->Decode({260, 299}, true), "he");
}

TEST(RobertaTokenizerTest, RejectsInvalidUtf8WithItsOffset) {
  const auto ids = Make()->Encode("he\xC3");
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()), HasSubstr("byte 2"));
}

TEST(RobertaTokenizerTest, NamesTheFileThatIsCorrupt) {
  const auto error = [](const std::string& vocab, const std::string& merges) {
    const auto tokenizer = MakeTokenizer({{"vocab.json", vocab}, {"merges.txt", merges}}, "dir");
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(tokenizer.status().message());
  };
  EXPECT_THAT(error("{", ""), HasSubstr("dir/vocab.json: not a JSON object"));
  EXPECT_THAT(error("[1]", ""), HasSubstr("dir/vocab.json: not a JSON object"));
  EXPECT_THAT(error(R"({"a": "b"})", ""), HasSubstr("dir/vocab.json: the id of \"a\""));
  EXPECT_THAT(error(R"({"a": 1.5})", ""), HasSubstr("the id of \"a\""));
  EXPECT_THAT(error(R"({"a": 4000000000})", ""), HasSubstr("the id of \"a\""));
  EXPECT_THAT(error(R"({"a": 0, "b": 0})", ""), HasSubstr("two tokens have the id 0"));
  EXPECT_THAT(error(VocabJson(), "#version: 0.2\nh e x\n"), HasSubstr("dir/merges.txt: line 2"));
}

}  // namespace roberta_tokenizer_test
}  // namespace mellow::text
