#include "common/text/classifier_input.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"

namespace mellow::text {

absl::StatusOr<ClassifierInput> EncodeForClassifier(const Tokenizer& tokenizer,
                                                    absl::string_view text, absl::string_view pair,
                                                    int window) {
  window = std::min(window, tokenizer.model_max_length());
  const auto encode = [&](int most) {
    return pair.empty() ? tokenizer.Encode(text, most) : tokenizer.EncodePair(text, pair, most);
  };
  ClassifierInput input;
  // One token more than fits tells whether something is cut.
  MELLOW_ASSIGN_OR_RETURN(input.ids, encode(window + 1));
  input.truncated = static_cast<int>(input.ids.size()) > window;
  if (input.truncated) {
    MELLOW_ASSIGN_OR_RETURN(input.ids, encode(window));
  }
  return input;
}

}  // namespace mellow::text
