#ifndef MELLOW_COMMON_EVAL_TEXT_NGRAMS_H_
#define MELLOW_COMMON_EVAL_TEXT_NGRAMS_H_

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace mellow::eval {

// Calls f(ngram) for every n-gram of the words in order, words joined by a space (no word has one).
template <typename F>
void ForEachNgram(absl::Span<const std::string> words, size_t n, const F& f) {
  for (size_t i = 0; i + n <= words.size(); ++i) {
    std::string key = words[i];
    for (size_t k = 1; k < n; ++k) absl::StrAppend(&key, " ", words[i + k]);
    f(key);
  }
}

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_TEXT_NGRAMS_H_
