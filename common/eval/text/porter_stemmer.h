#ifndef MELLOW_COMMON_EVAL_TEXT_PORTER_STEMMER_H_
#define MELLOW_COMMON_EVAL_TEXT_PORTER_STEMMER_H_

#include <string>

#include "absl/strings/string_view.h"

namespace mellow::eval {

// Porter's suffix stripping ("An algorithm for suffix stripping", Program 14.3, 1980) with the
// extensions that NLTK's PorterStemmer has by default, because rouge_score stems with that one.
// `word`: lower-case ASCII letters and digits.
[[nodiscard]] std::string PorterStem(absl::string_view word);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_TEXT_PORTER_STEMMER_H_
