#ifndef MELLOW_COMMON_TEXT_ADDED_TOKENS_H_
#define MELLOW_COMMON_TEXT_ADDED_TOKENS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/text/byte_trie.h"

namespace mellow::text {

// A token that is found verbatim in the text, before the model of the tokenizer sees the rest.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool lstrip = false;      // swallows the white space before it
  bool rstrip = false;      // swallows the white space behind it
  bool normalized = false;  // looked for in the normalised text instead of the raw one
  bool special = true;      // left out by Decode(skip_special_tokens)
};

// A part of a text: an added token (id >= 0), or text between added tokens (id == -1), which is not
// empty.
struct TextPart {
  absl::string_view text;
  int32_t id;
};

// Cuts texts at added tokens. Immutable, thread-safe.
class AddedTokenSplitter {
 public:
  // Takes those of `tokens` whose `normalized` is as given.
  AddedTokenSplitter(const std::vector<AddedToken>& tokens, bool normalized);

  // The parts point into `text`. The leftmost, then longest token wins.
  [[nodiscard]] std::vector<TextPart> Split(absl::string_view text) const;

 private:
  std::vector<AddedToken> tokens_;
  ByteTrie trie_;  // content -> index in tokens_
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_ADDED_TOKENS_H_
