#include "common/text/fitted_prompt.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::text {
namespace {

bool ContinuesACharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

absl::StatusOr<FittedPrompt> FitPrompt(
    const Tokenizer& tokenizer, const std::function<std::string(absl::string_view text)>& render,
    absl::string_view text, int max_tokens) {
  FittedPrompt prompt;
  MELLOW_ASSIGN_OR_RETURN(prompt.ids, tokenizer.Encode(render(text)));
  prompt.uncut_tokens = prompt.tokens();
  if (max_tokens <= 0 || prompt.uncut_tokens <= max_tokens) return prompt;
  MELLOW_ASSIGN_OR_RETURN(prompt.ids, tokenizer.Encode(render("")));
  if (prompt.tokens() > max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("the prompt template alone has ",
                                                   prompt.tokens(), " tokens, at most ", max_tokens,
                                                   " are taken"));
  }
  // The first `fits` bytes fit, the first `too_long` do not.
  size_t fits = 0;
  size_t too_long = text.size();
  while (true) {
    size_t middle = fits + (too_long - fits) / 2;
    while (middle > fits && ContinuesACharacter(text[middle])) --middle;
    if (middle == fits) {
      for (middle = fits + 1; middle < too_long && ContinuesACharacter(text[middle]);) ++middle;
      if (middle == too_long) return prompt;
    }
    MELLOW_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                            tokenizer.Encode(render(text.substr(0, middle))));
    if (static_cast<int>(ids.size()) > max_tokens) {
      too_long = middle;
    } else {
      fits = middle;
      prompt.ids = std::move(ids);
    }
  }
}

}  // namespace mellow::text
