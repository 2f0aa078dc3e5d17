#ifndef MELLOW_COMMON_TEXT_FITTED_PROMPT_H_
#define MELLOW_COMMON_TEXT_FITTED_PROMPT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/text/tokenizer.h"

namespace mellow::text {

// The notebook's prompt.
inline constexpr char kDefaultPromptTemplate[] =
    "\nSummarize the following conversation.\n\n{dialogue}\n\nSummary:\n";

struct FittedPrompt {
  std::vector<int32_t> ids;
  int uncut_tokens = 0;  // of the prompt with the whole text

  [[nodiscard]] int tokens() const { return static_cast<int>(ids.size()); }
  [[nodiscard]] bool truncated() const { return uncut_tokens > tokens(); }
};

// The ids of a prompt of at most `max_tokens` (0: of any length). `render` puts a text into its
// template. What is too long is cut at the end of the text, between two characters, never in the
// template around it: a model that does not see "Summary:" does not know what it is asked for.
// InvalidArgument: not UTF-8, or the template alone is too long.
[[nodiscard]] absl::StatusOr<FittedPrompt> FitPrompt(
    const Tokenizer& tokenizer, const std::function<std::string(absl::string_view text)>& render,
    absl::string_view text, int max_tokens);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_FITTED_PROMPT_H_
