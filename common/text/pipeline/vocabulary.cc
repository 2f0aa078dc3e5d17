#include "common/text/pipeline/vocabulary.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace mellow::text {

Vocabulary::Vocabulary(std::vector<std::string> pieces, const AddedVocabulary& added,
                       int32_t model_vocab_size)
    : texts_(std::move(pieces)) {
  for (const auto& [id, token] : added.by_id()) {
    if (static_cast<size_t>(id) >= texts_.size()) texts_.resize(id + 1);
    texts_[id] = token.content;
  }
  // By text, not by id: that is how the tokenizers library looks for it.
  for (const std::string& text : texts_) special_.push_back(added.IsSpecial(text));
  limit_ = std::max(size(), static_cast<int>(model_vocab_size));
}

absl::StatusOr<std::vector<absl::string_view>> Vocabulary::Texts(absl::Span<const int32_t> ids,
                                                                 bool skip_special_tokens) const {
  std::vector<absl::string_view> texts;
  texts.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const int32_t id = ids[i];
    if (id < 0 || id >= limit_) {
      return absl::InvalidArgumentError(
          absl::StrCat("ids[", i, "] is ", id, ": the vocabulary has ", limit_, " ids"));
    }
    if (id >= size() || texts_[id].empty() || (skip_special_tokens && special_[id])) continue;
    texts.push_back(texts_[id]);
  }
  return texts;
}

}  // namespace mellow::text
