#ifndef MELLOW_COMMON_EVAL_TEXT_TEXT_SHAPE_H_
#define MELLOW_COMMON_EVAL_TEXT_TEXT_SHAPE_H_

// What a text looks like, whatever it says: the measures that reward hacking disturbs.

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow::eval {

// Runs of letters and digits of any script, with apostrophes inside; ASCII letters in lower case.
// `text` is UTF-8.
[[nodiscard]] std::vector<std::string> Words(absl::string_view text);

// The share of the 3-grams that came before in the same text: 0 when there is none.
[[nodiscard]] double RepeatedTrigrams(absl::Span<const std::string> words);

// Different n-grams / all of them over several texts (distinct-n of Li, Galley, Brockett, Gao and
// Dolan, "A diversity-promoting objective function for neural conversation models", 2016); n-grams
// do not reach over the end of a text. 0 when there is none; it falls with the number of texts, so
// only sets of about one size can be compared.
[[nodiscard]] double Distinct(absl::Span<const std::vector<std::string>> texts, size_t n);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_TEXT_TEXT_SHAPE_H_
