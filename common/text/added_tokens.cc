#include "common/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "common/text/unicode.h"
#include "common/text/utf8.h"

namespace mellow::text {
namespace {

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(selected),
               [&](const AddedToken& token) { return token.normalized == normalized; });
  return selected;
}

ByteTrie MakeTrie(const std::vector<AddedToken>& tokens) {
  std::vector<std::pair<std::string, int32_t>> entries;
  for (const AddedToken& token : tokens) {
    entries.emplace_back(token.content, static_cast<int32_t>(entries.size()));
  }
  return ByteTrie(std::move(entries));
}

// Where the white space that ends at `end` begins, not before `floor`.
size_t WhiteSpaceBegin(absl::string_view text, size_t floor, size_t end) {
  while (end > floor) {
    size_t begin = end - 1;
    while (begin > floor && (text[begin] & 0xC0) == 0x80) --begin;
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

}  // namespace

AddedTokenSplitter::AddedTokenSplitter(const std::vector<AddedToken>& tokens, bool normalized)
    : tokens_(Select(tokens, normalized)), trie_(MakeTrie(tokens_)) {}

std::vector<TextPart> AddedTokenSplitter::Split(absl::string_view text) const {
  std::vector<TextPart> parts;
  size_t done = 0;  // the text before it is in `parts`
  for (size_t pos = 0; pos < text.size();) {
    size_t length = 0;
    const AddedToken* token = nullptr;
    trie_.ForEachPrefix(text.substr(pos), [&](size_t n, int32_t index) {
      length = n;
      token = &tokens_[index];
    });
    if (token == nullptr) {
      ++pos;
      continue;
    }
    const size_t begin = token->lstrip ? WhiteSpaceBegin(text, done, pos) : pos;
    const size_t end = token->rstrip ? WhiteSpaceEnd(text, pos + length) : pos + length;
    if (begin > done) parts.push_back({text.substr(done, begin - done), -1});
    parts.push_back({text.substr(begin, end - begin), token->id});
    done = pos = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done), -1});
  return parts;
}

}  // namespace mellow::text
