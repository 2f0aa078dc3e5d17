#ifndef MELLOW_SERVICES_CLI_EVALUATE_JUDGED_TEXT_H_
#define MELLOW_SERVICES_CLI_EVALUATE_JUDGED_TEXT_H_

// What a judge is shown of a prompt and its summary.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::cli {

// Scoring::text of a judge's scorings, the one that its text_template asks for first. Empty: the
// default. InvalidArgument: no {response} in it, or a query's special tokens to keep and no query.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ScoringsFor(const std::string& text_template,
                                                                   bool keep_query_special_tokens);

struct JudgedParts {
  absl::string_view query;          // decoded, without special tokens
  absl::string_view special_query;  // decoded with them
  absl::string_view response;       // without
};

// `scoring`: Scoring::text. One pass: braces in the parts themselves are left alone.
[[nodiscard]] std::string JudgedText(absl::string_view scoring, const JudgedParts& parts);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_JUDGED_TEXT_H_
