#include "services/wire/help_text.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace mellow::wire {
namespace {

constexpr size_t kDescriptions = 30;  // CLI11's column of them

class Formatter : public CLI::Formatter {
 public:
  explicit Formatter(int columns) : columns_(columns) {}

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    return WrappedHelp(CLI::Formatter::make_help(app, std::move(name), mode), columns_);
  }

 private:
  const int columns_;
};

// Parts between spaces; with `quotes` those that a shell would see as one word stay together.
std::vector<absl::string_view> Words(absl::string_view text, bool quotes) {
  std::vector<absl::string_view> words;
  char quote = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (quote == 0 && text[i] == ' ')) {
      if (i > begin) words.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    } else if (quotes && quote == 0 && (text[i] == '\'' || text[i] == '"')) {
      quote = text[i];
    } else if (text[i] == quote) {
      quote = 0;
    }
  }
  return words;
}

// `head` stays as it is; `words` follow it, and go on in lines that begin with `indent` spaces.
// `end` stands at the end of a line that goes on.
std::string Broken(absl::string_view head, const std::vector<absl::string_view>& words,
                   size_t indent, absl::string_view end, size_t columns) {
  std::string out(head);
  size_t used = head.size();
  bool first = true;
  for (const absl::string_view word : words) {
    if (!first && used + 1 + word.size() + end.size() > columns) {
      absl::StrAppend(&out, end, "\n", std::string(indent, ' '));
      used = indent;
      first = true;
    }
    absl::StrAppend(&out, first ? "" : " ", word);
    used += word.size() + (first ? 0 : 1);
    first = false;
  }
  return out;
}

std::string WrappedLine(absl::string_view line, bool example, size_t columns) {
  const size_t indent = line.size() - absl::StripLeadingAsciiWhitespace(line).size();
  if (example)
    return Broken(line.substr(0, indent), Words(line, /*quotes=*/true), indent + 4, " \\", columns);
  // A row of options or commands: its description begins in a column of its own.
  const bool row = indent > 0 && line.size() > kDescriptions && line[kDescriptions - 1] == ' ' &&
                   line[kDescriptions] != ' ';
  const size_t begin = row ? kDescriptions : indent;
  return Broken(line.substr(0, begin), Words(line.substr(begin), /*quotes=*/false), begin, "",
                columns);
}

}  // namespace

void WrapHelp(CLI::App* app, int columns) { app->formatter(std::make_shared<Formatter>(columns)); }

std::string WrappedHelp(absl::string_view help, int columns) {
  const auto width = static_cast<size_t>(columns);
  std::vector<std::string> lines;
  bool examples = false;
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    examples = examples || line == "Example:" || line == "Examples:";
    lines.push_back(line.size() <= width
                        ? std::string(line)
                        : WrappedLine(line, examples && absl::StartsWith(line, "  "), width));
  }
  return absl::StrJoin(lines, "\n");
}

}  // namespace mellow::wire
