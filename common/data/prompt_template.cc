#include "common/data/prompt_template.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"

namespace mellow::data {
namespace {

// Literal text, and the name of the column behind it, which is empty at the end of the template.
struct NamedPart {
  std::string literal;
  std::string column;
};

absl::StatusOr<std::vector<NamedPart>> SplitTemplate(absl::string_view text) {
  std::vector<NamedPart> parts(1);
  for (size_t pos = 0; pos < text.size(); ++pos) {
    const char c = text[pos];
    if (c != '{' && c != '}') {
      parts.back().literal += c;
    } else if (text.substr(pos + 1, 1) == text.substr(pos, 1)) {
      parts.back().literal += c;
      ++pos;
    } else {
      const size_t end = c == '{' ? text.find('}', pos) : absl::string_view::npos;
      if (end == absl::string_view::npos || end == pos + 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("template: the ", text.substr(pos, 1), " at byte ", pos,
                         " belongs to no {column}; write it twice for a brace"));
      }
      parts.back().column = std::string(text.substr(pos + 1, end - pos - 1));
      parts.emplace_back();
      pos = end;
    }
  }
  return parts;
}

}  // namespace

absl::StatusOr<PromptTemplate> PromptTemplate::Parse(absl::string_view text,
                                                     const std::vector<std::string>& columns) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<NamedPart> named, SplitTemplate(text));
  PromptTemplate made;
  for (NamedPart& part : named) {
    size_t column = kNoColumn;
    if (!part.column.empty()) {
      const auto it = std::find(columns.begin(), columns.end(), part.column);
      if (it == columns.end()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "template: no column ", part.column, "; there are ", absl::StrJoin(columns, ", ")));
      }
      column = it - columns.begin();
    }
    made.parts_.push_back({std::move(part.literal), column});
  }
  return made;
}

absl::StatusOr<std::vector<std::string>> PromptTemplate::Columns(absl::string_view text) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<NamedPart> parts, SplitTemplate(text));
  std::vector<std::string> columns;
  for (const NamedPart& part : parts) {
    if (part.column.empty()) continue;
    if (std::find(columns.begin(), columns.end(), part.column) == columns.end())
      columns.push_back(part.column);
  }
  return columns;
}

std::string PromptTemplate::Render(const Row& row) const { return Render(row, kNoColumn, ""); }

std::string PromptTemplate::Render(const Row& row, size_t replaced, absl::string_view text) const {
  std::string rendered;
  for (const Part& part : parts_) {
    rendered += part.literal;
    if (part.column == kNoColumn) continue;
    absl::StrAppend(&rendered, part.column == replaced ? text : row.values[part.column]);
  }
  return rendered;
}

absl::StatusOr<text::FittedPrompt> PromptTemplate::Encode(const Row& row,
                                                          const text::Tokenizer& tokenizer,
                                                          int max_tokens) const {
  size_t longest = kNoColumn;
  for (const Part& part : parts_) {
    if (part.column == kNoColumn) continue;
    if (longest == kNoColumn || row.values[part.column].size() > row.values[longest].size())
      longest = part.column;
  }
  return text::FitPrompt(
      tokenizer, [&](absl::string_view text) { return Render(row, longest, text); },
      longest == kNoColumn ? absl::string_view() : row.values[longest], max_tokens);
}

}  // namespace mellow::data
