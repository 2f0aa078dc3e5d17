#ifndef MELLOW_COMMON_TEXT_PIPELINE_PRE_TOKENIZER_H_
#define MELLOW_COMMON_TEXT_PIPELINE_PRE_TOKENIZER_H_

#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace mellow::text {

// Words are what stands between white space.
struct WhitespaceSplit {};

// Spaces become `replacement`, and with `split` every replacement begins a word. The text gets one
// at its beginning if it has none there.
struct Metaspace {
  enum class Prepend {
    kAlways,
    kFirst,
    kNever
  };  // kFirst: to the beginning of the whole text only

  std::string replacement = "\u2581";  // "▁"
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};

// GPT-2's words (byte_level.h), or with use_regex false the text as one.
struct ByteLevelSplit {
  bool add_prefix_space = false;
  bool use_regex = true;
};

// How a tokenizer cuts a text into the words that its model sees: steps, each of which cuts what
// the one before it left. Immutable once built, thread-safe.
class PreTokenizer {
 public:
  using Step = std::variant<WhitespaceSplit, Metaspace, ByteLevelSplit>;

  template <typename StepKind>
  void Append(StepKind step) {
    steps_.emplace_back(std::in_place_type<StepKind>, std::move(step));
  }
  [[nodiscard]] std::vector<Step>& steps() { return steps_; }

  // Visits the words of `text` in order, until `visit` returns false; they live as long as the
  // call. `text` is not empty; `at_start`: it is the beginning of the whole text. One word is in
  // memory at a time, because a text may be large.
  void ForEachWord(absl::string_view text, bool at_start,
                   absl::FunctionRef<bool(absl::string_view)> visit) const {
    Run(0, text, at_start, visit);
  }

 private:
  using Visit = absl::FunctionRef<bool(absl::string_view)>;
  bool Run(size_t step, absl::string_view text, bool at_start, Visit visit) const;

  std::vector<Step> steps_;
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_PRE_TOKENIZER_H_
