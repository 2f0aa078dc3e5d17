#ifndef MELLOW_COMMON_TEXT_PIPELINE_VOCABULARY_H_
#define MELLOW_COMMON_TEXT_PIPELINE_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/text/pipeline/added_tokens.h"

namespace mellow::text {

// The texts of the ids, for Decode. Immutable after construction.
class Vocabulary {
 public:
  // pieces[id]; empty texts are gaps. Added tokens take the place of pieces with the same id. Ids
  // from there up to model_vocab_size are padding of the model's embedding: known, and without
  // text.
  Vocabulary(std::vector<std::string> pieces, const AddedVocabulary& added,
             int32_t model_vocab_size);

  // The texts of `ids`, without those of special tokens on request, and without the gaps and the
  // padding. InvalidArgument: an id below 0 or beyond all that.
  [[nodiscard]] absl::StatusOr<std::vector<absl::string_view>> Texts(
      absl::Span<const int32_t> ids, bool skip_special_tokens) const;

  int size() const { return static_cast<int>(texts_.size()); }

 private:
  std::vector<std::string> texts_;
  std::vector<bool> special_;
  int32_t limit_;
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_VOCABULARY_H_
