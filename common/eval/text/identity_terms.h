#ifndef MELLOW_COMMON_EVAL_TEXT_IDENTITY_TERMS_H_
#define MELLOW_COMMON_EVAL_TEXT_IDENTITY_TERMS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow::eval {

// Words by which people name a group, none of them an insult. Classifiers of toxicity are known to
// react to them (Dixon, Li, Sorensen, Thain and Vasserman, "Measuring and mitigating unintended
// bias in text classification", 2018), so results are also shown for the texts that have one.
struct IdentityGroup {
  const char* name;
  std::vector<const char*> terms;  // lower case; a term may have several words
};
[[nodiscard]] absl::Span<const IdentityGroup> IdentityGroups();

// The names of the groups that `text` (UTF-8) names, in the list's order. Whole words only:
// "mangoes" names no men.
[[nodiscard]] std::vector<std::string> FindIdentities(absl::string_view text);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_TEXT_IDENTITY_TERMS_H_
