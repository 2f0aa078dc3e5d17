#ifndef MELLOW_COMMON_DATA_PROMPT_TEMPLATE_H_
#define MELLOW_COMMON_DATA_PROMPT_TEMPLATE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/dataset.h"
#include "common/text/fitted_prompt.h"

namespace mellow::data {

// Text with the columns of a row in it: "Summarize: {dialogue}". "{{" and "}}" are literal braces;
// braces inside the row's own text are left alone. Immutable.
class PromptTemplate {
 public:
  // InvalidArgument: a column that is not in `columns` (both named), or a brace without partner
  // (with its offset).
  [[nodiscard]] static absl::StatusOr<PromptTemplate> Parse(
      absl::string_view text, const std::vector<std::string>& columns);

  // The names in braces, each once, in the order of the text: what to ask ParseDataset for.
  // InvalidArgument: as Parse.
  [[nodiscard]] static absl::StatusOr<std::vector<std::string>> Columns(absl::string_view text);

  // `row` is of a data set with the columns given to Parse.
  [[nodiscard]] std::string Render(const Row& row) const;

  // The ids of the rendered row, of at most `max_tokens` (0: of any length). What is too long is
  // cut at the end of the row's longest value in the template, which is the dialogue. Errors as
  // text::FitPrompt.
  [[nodiscard]] absl::StatusOr<text::FittedPrompt> Encode(const Row& row,
                                                          const text::Tokenizer& tokenizer,
                                                          int max_tokens) const;

 private:
  struct Part {
    std::string literal;
    size_t column;  // behind the literal; kNoColumn: none
  };
  static constexpr size_t kNoColumn = static_cast<size_t>(-1);

  // With `text` as the value of column `replaced`.
  std::string Render(const Row& row, size_t replaced, absl::string_view text) const;

  std::vector<Part> parts_;
};

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_PROMPT_TEMPLATE_H_
