#ifndef MELLOW_COMMON_TEXT_PIPELINE_ADDED_TOKENS_H_
#define MELLOW_COMMON_TEXT_PIPELINE_ADDED_TOKENS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "common/text/pipeline/byte_trie.h"

namespace mellow::text {

using VocabMap = absl::flat_hash_map<std::string, int32_t>;

// What the model of a tokenizer knows by itself.
struct ModelVocabulary {
  VocabMap ids;
  int32_t size = 0;  // the id of the first added token that the model does not know
};

// A token that is found verbatim in the text, before the model of the tokenizer sees the rest.
struct AddedToken {
  std::string content;
  bool single_word = false;  // counts only where no letter, digit or mark touches it
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // swallows the white space behind it
  bool normalized = false;   // looked for in the normalized text instead of the raw one
  bool special = false;      // left out by Decode(skip_special_tokens)

  bool operator==(const AddedToken&) const = default;
};

// The added tokens of a tokenizer under construction, with the rules of the tokenizers library: a
// token that the model's vocabulary has keeps that id, another gets the next one; a token that is
// added twice takes the later flags, but is looked for where the first special one was.
class AddedVocabulary {
 public:
  // `model` is the same in every call. A token without content is passed over.
  void Add(const AddedToken& token, const ModelVocabulary& model);

  // The id of an added token or of a text of the model; -1: neither.
  [[nodiscard]] int32_t IdOf(const std::string& content, const ModelVocabulary& model) const;
  // Whether this very token, flags included, was added last under its content.
  [[nodiscard]] bool Has(const AddedToken& token) const;
  [[nodiscard]] bool HasContent(const std::string& content) const { return ids_.contains(content); }
  [[nodiscard]] bool IsSpecial(absl::string_view text) const { return special_set_.contains(text); }

  [[nodiscard]] const std::map<int32_t, AddedToken>& by_id() const { return by_id_; }

 private:
  friend class AddedTokenSplitter;

  std::vector<AddedToken> special_;  // in order, each content once
  absl::flat_hash_set<std::string> special_set_;
  std::vector<AddedToken> classic_;  // those that were not special when they were added
  VocabMap ids_;
  std::map<int32_t, AddedToken> by_id_;
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
  // Takes the tokens of `added` whose `normalized` is as given, each under the text that
  // `normalize` makes of its content. Special tokens are found, but not cut out, where
  // `split_special`.
  AddedTokenSplitter(const AddedVocabulary& added, bool normalized, bool split_special,
                     absl::FunctionRef<std::string(absl::string_view)> normalize);

  // Visits the parts of `text` in order, until `visit` returns false. The leftmost, then longest
  // token wins.
  void ForEachPart(absl::string_view text, absl::FunctionRef<bool(const TextPart&)> visit) const;

 private:
  struct Token {
    int32_t id;
    bool single_word, lstrip, rstrip, ignored;
  };
  std::vector<Token> tokens_;
  ByteTrie trie_;  // content -> index in tokens_
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_ADDED_TOKENS_H_
