// Any bytes as spiece.model, character map, vocab.json, merges.txt, tokenizer_config.json,
// special_tokens_map.json or added_tokens.json (the first byte chooses): an error or a tokenizer
// that works.

#include "common/text/load_tokenizer.h"
#include "tests/common/text/tokenizer_files.h"
#include "tests/fuzz/tokenizer_fuzz.h"

namespace mellow::text {
namespace {

constexpr char kVocab[] = R"({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4})";
constexpr char kMerges[] = "#version: 0.2\na b\n";

absl::StatusOr<std::unique_ptr<Tokenizer>> Make(uint8_t kind, const std::string& bytes) {
  const std::string spiece = SpmFile({{"\u2581", -2}, {"a", -3}});
  switch (kind % 8) {
    case 0:
      return MakeTokenizer({{"spiece.model", bytes}}, "dir");
    case 1:  // behind a good vocabulary, so that most of it is read
      return MakeTokenizer({{"spiece.model", spiece + bytes}}, "dir");
    case 2:
      return MakeTokenizer({{"spiece.model", SpmFile({{"\u2581", -2}, {"a", -3}}, bytes)}}, "dir");
    case 3:
      return MakeTokenizer({{"vocab.json", bytes}, {"merges.txt", kMerges}}, "dir");
    case 4:
      return MakeTokenizer({{"vocab.json", kVocab}, {"merges.txt", bytes}}, "dir");
    case 5:
      return MakeTokenizer({{"spiece.model", spiece}, {"tokenizer_config.json", bytes}}, "dir");
    case 6:
      return MakeTokenizer({{"spiece.model", spiece}, {"special_tokens_map.json", bytes}}, "dir");
    default:
      return MakeTokenizer(
          {{"vocab.json", kVocab}, {"merges.txt", kMerges}, {"added_tokens.json", bytes}}, "dir");
  }
}

}  // namespace
}  // namespace mellow::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto tokenizer = mellow::text::Make(data[0], bytes);
  if (!tokenizer.ok()) return 0;
  for (const char* text : {"", "a ab\n\u00E9e\u0301 <mask></s>", "\u65E5\u672C  \U0001F600\xFF"}) {
    mellow::text::CheckTokenizer(**tokenizer, text);
  }
  mellow::text::CheckTokenizer(**tokenizer, bytes);
  return 0;
}
