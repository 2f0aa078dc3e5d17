// What tokenizer.json says, part by part. (Compared with the tokenizers library on whole files:
// saved_tokenizers_test.cc.)

#include "common/text/files/tokenizer_json.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/text/files/tokenizer_number.h"
#include "common/text/load_tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace tokenizer_json_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// "<unk>" 0, "▁" 1, "a" 2, "▁a" 3, "b" 4, "</s>" 5.
constexpr char kModel[] = R"("model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0],
    ["\u2581", -2], ["a", -3], ["\u2581a", -4], ["b", -3], ["</s>", 0]]})";
constexpr char kBpe[] = R"("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]})";

absl::StatusOr<std::unique_ptr<Tokenizer>> Make(const std::string& fields) {
  return MakeTokenizer({{"tokenizer.json", absl::StrCat("{", fields, "}")}}, "dir");
}

std::vector<int32_t> Encode(const std::string& fields, absl::string_view text) {
  const auto tokenizer = Make(fields);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  if (!tokenizer.ok()) return {};
  const auto ids = (*tokenizer)->Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.value_or(std::vector<int32_t>{});
}

std::string With(absl::string_view part) { return absl::StrCat(part, ", ", kModel); }

std::string ErrorOf(const std::string& fields) {
  const auto tokenizer = Make(fields);
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument) << fields;
  return std::string(tokenizer.status().message());
}

TEST(TokenizerJsonTest, EveryPartButTheModelMayBeAbsent) {
  EXPECT_THAT(Encode(kModel, "ab b"), ElementsAre(2, 4, 0, 4));
  EXPECT_EQ(*(*Make(kModel))->Decode({2, 4}, true), "a b");
  EXPECT_THAT(Encode(kBpe, "ab"), ElementsAre(2));
}

TEST(TokenizerJsonTest, AppliesNormalizersInOrder) {
  const std::string map = absl::Base64Escape(CharsmapBlob({{"x", "  a"}}));
  EXPECT_THAT(Encode(With(absl::StrCat(R"("normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Precompiled", "precompiled_charsmap": ")",
                                       map, R"("},
      {"type": "Strip", "strip_left": true, "strip_right": false},
      {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "b"},
      {"type": "Replace", "pattern": {"String": "ba"}, "content": "\u2581a"},
      {"type": "Prepend", "prepend": "b"}]})")),
                     "xbx"),
              ElementsAre(4, 2, 4, 3));
}

TEST(TokenizerJsonTest, CutsWordsAsThePreTokenizerSays) {
  const auto metaspace = [](const char* fields) {
    return With(absl::StrCat(R"("pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581")",
                             fields, "}"));
  };
  EXPECT_THAT(Encode(metaspace(""), "b a"), ElementsAre(1, 4, 3));
  EXPECT_THAT(Encode(metaspace(R"(, "add_prefix_space": true)"), "b a"), ElementsAre(1, 4, 3));
  EXPECT_THAT(Encode(metaspace(R"(, "prepend_scheme": "never")"), "b a"), ElementsAre(4, 3));
  EXPECT_THAT(Encode(metaspace(R"(, "split": false)"), "b a"), ElementsAre(1, 4, 3));
  constexpr char kAdded[] = R"("added_tokens": [{"content": "<t>", "id": 6}], )";
  EXPECT_THAT(Encode(kAdded + metaspace(R"(, "prepend_scheme": "first")"), "a<t>a"),
              ElementsAre(3, 6, 2));
  EXPECT_THAT(Encode(kAdded + metaspace(""), "a<t>a"), ElementsAre(3, 6, 3));
  EXPECT_THAT(Encode(With(R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581"}]})"),
                     " a\u00A0\na "),
              ElementsAre(3, 3));
}

TEST(TokenizerJsonTest, FramesTextsAsThePostProcessorSays) {
  const std::string fields = With(R"("post_processor": {"type": "Sequence", "processors": [
      {"type": "ByteLevel", "trim_offsets": true}, {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "x", "type_id": 0}},
               {"Sequence": {"id": "B", "type_id": 1}}],
      "special_tokens": {"x": {"id": "x", "ids": [5, 1], "tokens": ["</s>", "\u2581"]}}}]})");
  EXPECT_THAT(Encode(fields, "a"), ElementsAre(5, 1, 2));
  EXPECT_THAT(*(*Make(fields))->EncodePair("a", "b"), ElementsAre(2, 5, 1, 4));
}

TEST(TokenizerJsonTest, DecodesAsTheDecoderSays) {
  const auto decode = [](const std::string& decoder, const std::vector<int32_t>& ids) {
    return *(*Make(With(absl::StrCat("\"decoder\": ", decoder))))->Decode(ids, true);
  };
  constexpr char kMeta[] = R"({"type": "Metaspace", "replacement": "\u2581"})";
  EXPECT_EQ(decode(kMeta, {3, 3, 2}), "a aa");
  EXPECT_EQ(decode(R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never"})",
                   {3, 3}),
            " a a");
  EXPECT_EQ(decode(absl::StrCat(R"({"type": "Sequence", "decoders": [)", kMeta,
                                R"(, {"type": "ByteFallback"}, {"type": "Fuse"}]})"),
                   {3, 3}),
            "a a");
}

TEST(TokenizerJsonTest, SpecialTokensAreAddedOnesToo) {
  const std::string fields = With(R"("added_tokens": [
      {"id": 5, "content": "</s>", "special": true, "normalized": false},
      {"id": 6, "content": "new", "lstrip": true}])");
  EXPECT_THAT(Encode(fields, "a new</s>"), ElementsAre(2, 6, 5));
  EXPECT_EQ(*(*Make(fields))->Decode({2, 5}, true), "a");
  EXPECT_EQ((*Make(fields))->vocab_size(), 7);
}

TEST(TokenizerJsonTest, ScoresAreReadAsTheTokenizersLibraryReadsThem) {
  // The nearest double of the first is another: its digits and the power of ten are rounded alone.
  for (const auto& [text, value] : {std::pair("-10.510522842407227", -10.510522842407228),
                                    std::pair("-8.59999e-5", -8.59999e-5), std::pair("0.1", 0.1),
                                    std::pair("2.5E+3", 2500.0), std::pair("1e-320", 1e-320)}) {
    const auto read = json::Parse(text, "file", kTokenizerJson);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->number(), value) << text;
  }
}

TEST(TokenizerJsonTest, RefusesByNameWhatItDoesNotImplement) {
  const auto error = [](const char* part) { return ErrorOf(With(part)); };
  EXPECT_THAT(ErrorOf("\"x\": 1, \"model\": {}"), HasSubstr("dir/tokenizer.json: model"));
  EXPECT_THAT(error(R"("later_part": {})"), HasSubstr("\"later_part\" is not a field"));
  EXPECT_THAT(error(R"("version": "2.0")"), HasSubstr("version"));
  EXPECT_THAT(error(R"("normalizer": {"type": "Lowercase"})"),
              HasSubstr("normalizer: type \"Lowercase\" is not implemented"));
  EXPECT_THAT(error(R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]})"),
              HasSubstr("normalizer.normalizers[0]: type \"NFC\""));
  EXPECT_THAT(
      error(R"("normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""})"),
      HasSubstr("pattern is {\"Regex\":\"a+\"}"));
  EXPECT_THAT(error(R"("pre_tokenizer": {"type": "Digits", "individual_digits": true})"),
              HasSubstr("pre_tokenizer: type \"Digits\""));
  EXPECT_THAT(error(R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_", "gap": 1})"),
              HasSubstr("\"gap\" is not a field"));
  EXPECT_THAT(error(R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_",
                        "add_prefix_space": false})"),
              HasSubstr("add_prefix_space is false"));
  EXPECT_THAT(error(R"("post_processor": {"type": "TemplateProcessing", "single": [], "pair": [],
                        "special_tokens": {}})"),
              HasSubstr("single"));
  EXPECT_THAT(error(R"("post_processor": {"type": "BertProcessing", "sep": ["x", 2], "cls": 3})"),
              HasSubstr("cls is 3"));
  EXPECT_THAT(error(R"("post_processor": {"type": "BertProcessing", "sep": ["x", 2],
                        "cls": ["y", 99]})"),
              HasSubstr("special token 99"));
  EXPECT_THAT(error(R"("decoder": {"type": "CTC"})"), HasSubstr("decoder: type \"CTC\""));
  EXPECT_THAT(error(R"("added_tokens": {})"), HasSubstr("added_tokens is {}"));
  EXPECT_THAT(error(R"("added_tokens": [{"content": "a", "id": 6, "fuzzy": true}])"),
              HasSubstr("\"fuzzy\""));
}

TEST(TokenizerJsonTest, RefusesModelsThatItDoesNotImplement) {
  const auto error = [](const char* model) { return ErrorOf(absl::StrCat("\"model\": ", model)); };
  EXPECT_THAT(error(R"({"type": "WordPiece"})"),
              HasSubstr("type \"WordPiece\" is not implemented"));
  EXPECT_THAT(error(R"({"type": "Unigram", "unk_id": null, "vocab": [["a", 0]]})"),
              HasSubstr("unk_id is absent"));
  EXPECT_THAT(error(R"({"type": "Unigram", "unk_id": 1, "vocab": [["a", 0]]})"),
              HasSubstr("unk_id is 1"));
  EXPECT_THAT(error(R"({"type": "Unigram", "unk_id": 0, "vocab": [["a", "b"]]})"),
              HasSubstr("vocab[0] is"));
  EXPECT_THAT(error(R"({"type": "BPE", "vocab": {"a": 0}, "merges": []})"), HasSubstr("ByteLevel"));
  const auto bpe = [](const char* fields) {
    return ErrorOf(absl::StrCat(R"("pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "BPE",
        "vocab": {"a": 0, "b": 1, "ab": 2}, )",
                                fields, "}"));
  };
  EXPECT_THAT(bpe(R"("merges": [], "dropout": 0.1)"), HasSubstr("dropout is 0.1"));
  EXPECT_THAT(bpe(R"("merges": [], "byte_fallback": true)"), HasSubstr("byte_fallback"));
  EXPECT_THAT(bpe(R"("merges": [], "end_of_word_suffix": "</w>")"),
              HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(bpe(R"("merges": [], "unk_token": "?")"), HasSubstr("unk_token"));
  EXPECT_THAT(bpe(R"("merges": [["a", "b"], "abc"])"), HasSubstr("merges[1]"));
  EXPECT_THAT(bpe(R"("merges": [["b", "a"]])"), HasSubstr("merge 1"));
}

}  // namespace tokenizer_json_test
}  // namespace mellow::text
