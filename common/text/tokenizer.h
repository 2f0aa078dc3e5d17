#ifndef MELLOW_COMMON_TEXT_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/text/utf8.h"  // FirstInvalidUtf8, for callers of Encode

namespace mellow::text {

// A model folder's tokenizer with the results of its Hugging Face *fast* tokenizer. Immutable,
// thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids with the special tokens that the model expects (T5: trailing </s>; RoBERTa: <s> ... </s>).
  // max_tokens > 0: truncated as transformers does it (content is cut at the end, the special
  // tokens stay). InvalidArgument: `text` is not UTF-8 (the message gives the byte offset).
  [[nodiscard]] virtual absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                                                    int max_tokens = 0) const = 0;

  // As transformers' decode(clean_up_tokenization_spaces=False). InvalidArgument: an id outside the
  // vocabulary.
  [[nodiscard]] virtual absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                                           bool skip_special_tokens) const = 0;

  // The ids that Encode and Decode know: 0 <= id < vocab_size().
  [[nodiscard]] virtual int vocab_size() const = 0;
};

// Picks by the files of the folder: spiece.model (T5) or vocab.json + merges.txt (RoBERTa).
// NotFound: neither; DataLoss/InvalidArgument: a corrupt file, named.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_TOKENIZER_H_
