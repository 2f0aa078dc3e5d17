// Any bytes as spiece.model, character map, vocab.json or merges.txt (the first byte chooses): an
// error or a tokenizer that works.

#include "common/text/roberta_tokenizer.h"
#include "common/text/t5_tokenizer.h"
#include "tests/common/text/tokenizer_files.h"
#include "tests/fuzz/tokenizer_fuzz.h"

namespace mellow::text {
namespace {

constexpr char kVocab[] = R"({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4})";

absl::StatusOr<std::unique_ptr<Tokenizer>> Make(uint8_t kind, const std::string& bytes) {
  switch (kind % 5) {
    case 0:
      return MakeT5Tokenizer(bytes, {});
    case 1:  // behind a good vocabulary, so that most of it is read
      return MakeT5Tokenizer(SpmFile({{"\u2581", -2}}) + bytes, {});
    case 2:
      return MakeT5Tokenizer(SpmFile({{"\u2581", -2}, {"a", -3}}, bytes), {});
    case 3:
      return MakeRobertaTokenizer(bytes, "vocab", "", "merges", {});
    default:
      return MakeRobertaTokenizer(kVocab, "vocab", bytes, "merges", {});
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
