#ifndef MELLOW_COMMON_TEXT_PIPELINE_NORMALIZER_H_
#define MELLOW_COMMON_TEXT_PIPELINE_NORMALIZER_H_

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/text/pipeline/charsmap.h"

namespace mellow::text {

// Takes white space from the ends of the text.
struct Strip {
  bool left;
  bool right;
};

// Puts `content` in the place of every `pattern`, or of every run of two and more spaces where
// `pattern` is empty.
struct Replace {
  std::string pattern;
  std::string content;
};

// Puts `prefix` before a text that is not empty.
struct Prepend {
  std::string prefix;
};

// What a tokenizer makes of a text before it looks for words: steps, one after the other.
// Immutable once built, thread-safe.
class Normalizer {
 public:
  using Step = std::variant<Charsmap, Strip, Replace, Prepend>;

  template <typename StepKind>
  void Append(StepKind step) {
    steps_.emplace_back(std::in_place_type<StepKind>, std::move(step));
  }
  // Whether it leaves every text as it is.
  [[nodiscard]] bool empty() const { return steps_.empty(); }
  // `text` is UTF-8, and so is the result. Where Strip takes something from the left, the result
  // does not begin where the text does, for Metaspace::Prepend::kFirst: `moved` becomes true.
  [[nodiscard]] std::string Normalize(absl::string_view text, bool* moved = nullptr) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_NORMALIZER_H_
