#include "services/cli/evaluate/judged_text.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/eval/evaluation.h"

namespace mellow::cli {
namespace {

constexpr char kQuery[] = "{query}";
constexpr char kResponse[] = "{response}";
constexpr char kWhole[] = "{query} {response}";

}  // namespace

absl::StatusOr<std::vector<std::string>> ScoringsFor(const std::string& text_template,
                                                     bool keep_query_special_tokens) {
  const std::string text = text_template.empty() ? kResponse : text_template;
  if (!absl::StrContains(text, kResponse))
    return absl::InvalidArgumentError(
        absl::StrCat("text_template: ", text, ": must contain {response}"));
  if (keep_query_special_tokens && !absl::StrContains(text, kQuery)) {
    return absl::InvalidArgumentError(
        absl::StrCat("keep_query_special_tokens: text_template is ", text, ", without a {query}"));
  }
  if (text == kResponse)
    return std::vector<std::string>{eval::kSummaryScoring, eval::kQueryResponseScoring};
  std::string first = text == kWhole ? eval::kQueryResponseScoring : text;
  if (keep_query_special_tokens) first = absl::StrReplaceAll(text, {{kQuery, eval::kSpecialQuery}});
  return std::vector<std::string>{std::move(first), eval::kSummaryScoring};
}

std::string JudgedText(absl::string_view scoring, const JudgedParts& parts) {
  absl::string_view rest = scoring == eval::kSummaryScoring         ? kResponse
                           : scoring == eval::kQueryResponseScoring ? kWhole
                                                                    : scoring;
  std::string text;
  while (!rest.empty()) {
    if (absl::ConsumePrefix(&rest, kQuery)) {
      absl::StrAppend(&text, parts.query);
    } else if (absl::ConsumePrefix(&rest, eval::kSpecialQuery)) {
      absl::StrAppend(&text, parts.special_query);
    } else if (absl::ConsumePrefix(&rest, kResponse)) {
      absl::StrAppend(&text, parts.response);
    } else {
      text += rest.front();
      rest.remove_prefix(1);
    }
  }
  return text;
}

}  // namespace mellow::cli
