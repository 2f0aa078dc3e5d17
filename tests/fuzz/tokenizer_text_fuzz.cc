// Any bytes as text, for small tokenizers of both kinds.

#include "common/text/load_tokenizer.h"
#include "tests/common/text/tokenizer_files.h"
#include "tests/fuzz/tokenizer_fuzz.h"

namespace mellow::text {
namespace {

std::unique_ptr<Tokenizer> MakeT5() {
  const std::string charsmap = CharsmapBlob(
      {{"\n", " "}, {"\t", " "}, {"\u00B2", "2"}, {"e\u0301", "\u00E9"}, {"\x01", ""}});
  const std::string spiece = SpmFile({{"\u2581", -2},
                                      {"a", -3},
                                      {"ab", -4},
                                      {"\u2581"
                                       "a",
                                       -3.5f},
                                      {"\u00E9", -5},
                                      {"2", -1}},
                                     charsmap);
  auto tokenizer = MakeTokenizer(
      {{"spiece.model", spiece}, {"tokenizer_config.json", R"({"extra_ids": 2})"}}, "dir");
  Require(tokenizer.ok(), "the T5 tokenizer is good");
  return *std::move(tokenizer);
}

std::unique_ptr<Tokenizer> MakeRoberta() {
  const std::string vocab =
      "{\"<s>\": 0, \"</s>\": 1, \"<mask>\": 2, \"a\": 3, \"b\": 4, \"ab\": 5, \"\u0120\": 6, "
      "\"\u0120ab\": 7, \"\u00C3\": 8}";
  auto tokenizer = MakeTokenizer(
      {{"vocab.json", vocab}, {"merges.txt", "#version: 0.2\na b\n\u0120 ab\n"}}, "dir");
  Require(tokenizer.ok(), "the RoBERTa tokenizer is good");
  return *std::move(tokenizer);
}

}  // namespace
}  // namespace mellow::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const t5 = mellow::text::MakeT5().release();
  static const auto* const roberta = mellow::text::MakeRoberta().release();
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  mellow::text::CheckTokenizer(*t5, text);
  mellow::text::CheckTokenizer(*roberta, text);
  return 0;
}
