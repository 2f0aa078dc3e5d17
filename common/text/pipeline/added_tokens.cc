#include "common/text/pipeline/added_tokens.h"

#include <algorithm>
#include <utility>

#include "common/text/unicode/unicode.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

// Where the character that ends at `end` begins; end > 0.
size_t CharacterBegin(absl::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
  return begin;
}

// Where the white space that ends at `end` begins, not before `floor`.
size_t WhiteSpaceBegin(absl::string_view text, size_t floor, size_t end) {
  while (end > floor) {
    const size_t begin = CharacterBegin(text, end);
    if (!IsWhiteSpace(DecodeUtf8(text, begin).code_point)) break;
    end = begin;
  }
  return end;
}

size_t WhiteSpaceEnd(absl::string_view text, size_t begin) {
  while (begin < text.size()) {
    const Utf8Char c = DecodeUtf8(text, begin);
    if (!IsWhiteSpace(c.code_point)) break;
    begin += c.size;
  }
  return begin;
}

bool TouchesWord(absl::string_view text, size_t begin, size_t end) {
  return (begin > 0 && IsWordCharacter(DecodeUtf8(text, CharacterBegin(text, begin)).code_point)) ||
         (end < text.size() && IsWordCharacter(DecodeUtf8(text, end).code_point));
}

}  // namespace

void AddedVocabulary::Add(const AddedToken& token, const ModelVocabulary& model) {
  if (token.content.empty()) return;
  if (token.special && special_set_.insert(token.content).second) special_.push_back(token);
  if (Has(token)) return;
  int32_t id = IdOf(token.content, model);
  if (id < 0) {
    id = model.size;
    if (!by_id_.empty()) id = std::max(id, by_id_.rbegin()->first + 1);
  }
  ids_[token.content] = id;
  by_id_[id] = token;
  if (!special_set_.contains(token.content)) classic_.push_back(token);
}

int32_t AddedVocabulary::IdOf(const std::string& content, const ModelVocabulary& model) const {
  if (const auto it = ids_.find(content); it != ids_.end()) return it->second;
  const auto it = model.ids.find(content);
  return it == model.ids.end() ? -1 : it->second;
}

bool AddedVocabulary::Has(const AddedToken& token) const {
  const auto it = ids_.find(token.content);
  return it != ids_.end() && by_id_.at(it->second) == token;
}

AddedTokenSplitter::AddedTokenSplitter(
    const AddedVocabulary& added, bool normalized, bool split_special,
    absl::FunctionRef<std::string(absl::string_view)> normalize) {
  std::vector<std::pair<std::string, int32_t>> entries;
  for (const auto* list : {&added.special_, &added.classic_}) {
    for (const AddedToken& token : *list) {
      if (token.normalized != normalized) continue;
      const int32_t id = added.ids_.at(token.content);
      const AddedToken& flags = added.by_id_.at(id);
      entries.emplace_back(normalize(token.content), static_cast<int32_t>(tokens_.size()));
      tokens_.push_back({.id = id,
                         .single_word = flags.single_word,
                         .lstrip = flags.lstrip,
                         .rstrip = flags.rstrip,
                         .ignored = split_special && added.IsSpecial(flags.content)});
    }
  }
  // Where several contents normalize to the same text, the first one is found.
  std::reverse(entries.begin(), entries.end());
  trie_ = ByteTrie(std::move(entries));
}

void AddedTokenSplitter::ForEachPart(absl::string_view text,
                                     absl::FunctionRef<bool(const TextPart&)> visit) const {
  size_t done = 0;             // the text before it has been visited
  size_t white = 0, dark = 0;  // the white space that rstrip found last: from, to
  for (size_t pos = 0; pos < text.size();) {
    size_t length = 0;
    const Token* token = nullptr;
    trie_.ForEachPrefix(text.substr(pos), [&](size_t n, int32_t index) {
      length = n;
      token = &tokens_[index];
    });
    if (token == nullptr) {
      ++pos;
      continue;
    }
    size_t begin = pos;
    size_t end = pos + length;
    pos = end;  // the search goes on here, whatever rstrip takes
    if (token->ignored || (token->single_word && TouchesWord(text, begin, end))) continue;
    if (token->lstrip) begin = WhiteSpaceBegin(text, done, begin);
    if (token->rstrip) {
      if (end < white || end > dark) {
        white = end;
        dark = WhiteSpaceEnd(text, end);
      }
      end = dark;
    }
    if (begin > done && !visit({text.substr(done, begin - done), -1})) return;
    if (!visit({text.substr(begin, end - begin), token->id})) return;
    done = end;
  }
  if (done < text.size()) visit({text.substr(done), -1});
}

}  // namespace mellow::text
