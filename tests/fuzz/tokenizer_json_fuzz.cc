// Any bytes as tokenizer.json, alone or beside the other files of its family: an error or a
// tokenizer that works. Its seeds and its dictionary are whole files and the words of the format.

#include "common/text/load_tokenizer.h"
#include "tests/fuzz/tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (const char* config :
       {"{}", R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 2, "eos_token": "a"})",
        R"({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true})"}) {
    const auto tokenizer = mellow::text::MakeTokenizer(
        {{"tokenizer.json", bytes}, {"tokenizer_config.json", config}}, "dir");
    if (!tokenizer.ok()) continue;
    for (const char* text :
         {"", "a ab\n\u00E9e\u0301 <mask></s>", "\u65E5\u672C  \U0001F600\xFF", " b b "}) {
      mellow::text::CheckTokenizer(**tokenizer, text);
    }
  }
  return 0;
}
