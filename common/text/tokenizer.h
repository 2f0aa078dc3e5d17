#ifndef MELLOW_COMMON_TEXT_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_TOKENIZER_H_

#include <climits>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/text/unicode/utf8.h"  // FirstInvalidUtf8, for callers of Encode

namespace mellow::text {

// A model folder's tokenizer with the results of the *fast* tokenizer that AutoTokenizer of
// transformers 4.45 loads from it. Immutable, thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids with the special tokens that the model expects (T5: trailing </s>; RoBERTa: <s> ... </s>).
  // max_tokens > 0: truncated as transformers does it (content is cut at the end, or at the
  // beginning where the folder's truncation_side is left; the special tokens stay).
  // InvalidArgument: `text` is not UTF-8 (the message gives the byte offset), or max_tokens has no
  // room for the special tokens.
  [[nodiscard]] virtual absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                                                    int max_tokens = 0) const = 0;

  // A pair of texts (RoBERTa: <s> a </s></s> b </s>; T5: a </s> b </s>). max_tokens > 0: the longer
  // of the two is cut first. InvalidArgument: as Encode, naming "text" or "text_pair";
  // Unimplemented: the tokenizer takes no pairs.
  [[nodiscard]] virtual absl::StatusOr<std::vector<int32_t>> EncodePair(
      absl::string_view /*text*/, absl::string_view /*pair*/, int /*max_tokens*/ = 0) const {
    return absl::UnimplementedError("the tokenizer takes no pairs of texts");
  }

  // As transformers' decode, with the folder's clean_up_tokenization_spaces (off unless it is set).
  // InvalidArgument: an id outside the vocabulary.
  [[nodiscard]] virtual absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids,
                                                           bool skip_special_tokens) const = 0;

  // The ids that Encode and Decode know: 0 <= id < vocab_size().
  [[nodiscard]] virtual int vocab_size() const = 0;

  // The folder's model_max_length: to how many tokens a classification pipeline cuts its texts.
  // INT_MAX: it sets none. Encode does not apply it; T5's generate ignores it, as transformers
  // does.
  [[nodiscard]] virtual int model_max_length() const { return INT_MAX; }

  // What the folder's tokenizer_config.json says and nobody here knows, so that it has no effect; a
  // line each.
  [[nodiscard]] virtual const std::vector<std::string>& warnings() const {
    static const auto& none = *new std::vector<std::string>();
    return none;
  }
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_TOKENIZER_H_
