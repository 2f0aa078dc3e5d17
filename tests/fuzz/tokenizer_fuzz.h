#ifndef MELLOW_TESTS_FUZZ_TOKENIZER_FUZZ_H_
#define MELLOW_TESTS_FUZZ_TOKENIZER_FUZZ_H_

#include <algorithm>
#include <string>
#include <vector>

#include "common/text/tokenizer.h"
#include "tests/fuzz/input.h"

namespace mellow::text {

// What is true of every tokenizer and every text, valid or not.
inline void CheckTokenizer(const Tokenizer& tokenizer, absl::string_view text) {
  const auto ids = tokenizer.Encode(text);
  const bool valid = FirstInvalidUtf8(text) == absl::string_view::npos;
  Require(ids.ok() == valid, "exactly UTF-8 is encoded");
  if (!valid) return;
  for (const int32_t id : *ids)
    Require(id >= 0 && id < tokenizer.vocab_size(), "ids are in the vocabulary");
  for (const bool skip : {false, true}) {
    const auto decoded = tokenizer.Decode(*ids, skip);
    Require(decoded.ok(), "what was encoded can be decoded");
    Require(FirstInvalidUtf8(*decoded) == absl::string_view::npos, "decoded text is UTF-8");
  }
  const auto empty = tokenizer.Encode("");
  Require(empty.ok(), "the special tokens stand alone");
  const size_t most = empty->size() + 2;
  const auto cut = tokenizer.Encode(text, static_cast<int>(most));
  Require(cut.ok() && cut->size() == std::min(most, ids->size()), "truncation holds");
  const auto pair = tokenizer.EncodePair(text, "a", 1 << 20);
  Require(pair.ok() || !valid, "pairs are encoded");
}

}  // namespace mellow::text

#endif  // MELLOW_TESTS_FUZZ_TOKENIZER_FUZZ_H_
