#include "common/text/classifier_input.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::text {
namespace {

// What is kept of texts of `first` and `second` tokens when both together may have `room`.
std::pair<size_t, size_t> LongestFirst(size_t first, size_t second, size_t room) {
  if (first + second <= room) return {first, second};
  const bool swapped = first > second;
  size_t shorter = std::min(first, second);
  size_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = room - shorter;
  }
  return swapped ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

absl::StatusOr<ClassifierInput> EncodeText(const Tokenizer& tokenizer, absl::string_view text,
                                           int window) {
  ClassifierInput input;
  // One token more than fits tells whether something is cut.
  MELLOW_ASSIGN_OR_RETURN(input.ids, tokenizer.Encode(text, window + 1));
  input.truncated = static_cast<int>(input.ids.size()) > window;
  if (input.truncated) input.ids.erase(input.ids.end() - 2);  // the last before </s>
  return input;
}

absl::StatusOr<ClassifierInput> EncodeTextPair(const Tokenizer& tokenizer, absl::string_view text,
                                               absl::string_view pair, int window) {
  constexpr size_t kSpecials = 4;
  if (window < static_cast<int>(kSpecials)) {
    return absl::InvalidArgumentError(absl::StrCat("text_pair: the model reads ", window,
                                                   " tokens, and the special tokens of "
                                                   "two texts alone are ",
                                                   kSpecials));
  }
  MELLOW_ASSIGN_OR_RETURN(const std::vector<int32_t> empty, tokenizer.Encode(""));
  if (empty.size() != 2)
    return absl::UnimplementedError("text_pair: only for tokenizers that give <s>text</s>");
  auto first = tokenizer.Encode(text);
  if (!first.ok()) return Annotate(first.status(), "text");
  auto second = tokenizer.Encode(pair);
  if (!second.ok()) return Annotate(second.status(), "text_pair");
  const auto [keep_first, keep_second] =
      LongestFirst(first->size() - 2, second->size() - 2, static_cast<size_t>(window) - kSpecials);
  ClassifierInput input;
  input.truncated = keep_first + 2 < first->size() || keep_second + 2 < second->size();
  const int32_t begin = empty.front();
  const int32_t end = empty.back();
  const auto add = [&](int32_t opening, const std::vector<int32_t>& ids, size_t keep) {
    input.ids.push_back(opening);
    input.ids.insert(input.ids.end(), ids.begin() + 1,
                     ids.begin() + 1 + static_cast<std::ptrdiff_t>(keep));
    input.ids.push_back(end);
  };
  add(begin, *first, keep_first);
  add(end, *second, keep_second);  // the second text opens with </s>
  return input;
}

}  // namespace

absl::StatusOr<ClassifierInput> EncodeForClassifier(const Tokenizer& tokenizer,
                                                    absl::string_view text, absl::string_view pair,
                                                    int window) {
  return pair.empty() ? EncodeText(tokenizer, text, window)
                      : EncodeTextPair(tokenizer, text, pair, window);
}

}  // namespace mellow::text
