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

// A text as <s>text</s>, or with a `pair` that is not empty both as <s>text</s></s>pair</s>, of at
// most `window` tokens. What is too long is cut at the end; of two texts as Hugging Face's fast
// tokenizers do it by "longest_first": the longer one down to the length of the shorter one, then
// both alike. InvalidArgument: not UTF-8 (of two texts the message names "text" or "text_pair"), a
// window without room for the special tokens. Unimplemented: a pair, and a tokenizer that does not
// put a text between <s> and </s>.
[[nodiscard]] absl::StatusOr<ClassifierInput> EncodeForClassifier(const Tokenizer& tokenizer,
                                                                  absl::string_view text,
                                                                  absl::string_view pair,
                                                                  int window);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_CLASSIFIER_INPUT_H_
