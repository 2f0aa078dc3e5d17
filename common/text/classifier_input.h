#ifndef MELLOW_COMMON_TEXT_CLASSIFIER_INPUT_H_
#define MELLOW_COMMON_TEXT_CLASSIFIER_INPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/tokenizer.h"

namespace mellow::text {

// What a sequence classifier reads.
struct ClassifierInput {
  std::vector<int32_t> ids;
  bool truncated = false;  // the text had more than fits
};

// A text, or with a `pair` that is not empty both, as the tokenizer frames them (RoBERTa:
// <s>text</s> and <s>text</s></s>pair</s>), of at most `window` tokens and the tokenizer's
// model_max_length. What is too long is cut as Encode and EncodePair do it. InvalidArgument: not
// UTF-8 (of two texts the message names "text" or "text_pair"), a window without room for the
// special tokens.
[[nodiscard]] absl::StatusOr<ClassifierInput> EncodeForClassifier(const Tokenizer& tokenizer,
                                                                  absl::string_view text,
                                                                  absl::string_view pair,
                                                                  int window);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_CLASSIFIER_INPUT_H_
