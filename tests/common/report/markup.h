#ifndef MELLOW_TESTS_COMMON_REPORT_MARKUP_H_
#define MELLOW_TESTS_COMMON_REPORT_MARKUP_H_

// Small checks of HTML and Markdown, written apart from the code that makes them.

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace mellow::report {

// Empty when every element is closed in order, every attribute is quoted, every '&' begins an
// entity and no stray '<' or control character is left; else what is wrong.
inline std::string MarkupError(const std::string& html) {
  static const std::set<std::string> kVoid = {"meta", "!doctype"};
  std::vector<std::string> open;
  for (size_t i = 0; i < html.size(); ++i) {
    const char c = html[i];
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return "control character";
    if (c == '&') {
      const size_t end = html.find(';', i);
      if (end == std::string::npos || end - i > 7) return absl::StrCat("bare & at ", i);
    }
    if (c != '<') continue;
    const bool closing = html[i + 1] == '/';
    size_t end = i + (closing ? 2 : 1);
    const size_t name_begin = end;
    while (end < html.size() && (absl::ascii_isalnum(html[end]) || html[end] == '!')) ++end;
    const std::string name = html.substr(name_begin, end - name_begin);
    if (name.empty()) return absl::StrCat("stray < at ", i);
    bool quoted = false;
    while (end < html.size() && (quoted || html[end] != '>')) {
      if (html[end] == '"') quoted = !quoted;
      if (html[end] == '<') return absl::StrCat("< inside the tag ", name);
      ++end;
    }
    if (end == html.size()) return absl::StrCat("tag without end: ", name);
    const bool empty = html[end - 1] == '/';
    if (closing) {
      if (open.empty() || open.back() != name)
        return absl::StrCat("</", name, "> closes ", open.empty() ? "nothing" : open.back());
      open.pop_back();
    } else if (!empty && kVoid.count(name) == 0) {
      open.push_back(name);
      if (name == "style") end = html.find("</style>", end) - 1;
    }
    i = end;
  }
  return open.empty() ? "" : absl::StrCat("not closed: ", open.back());
}

// Cells of a line of a Markdown table; empty for another line. "\|" does not end a cell.
inline std::vector<std::string> Cells(absl::string_view line) {
  std::vector<std::string> cells;
  if (!absl::StartsWith(line, "|")) return cells;
  std::string cell;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      cell += line[++i];
    } else if (line[i] == '|') {
      cells.emplace_back(absl::StripAsciiWhitespace(cell));
      cell.clear();
    } else {
      cell += line[i];
    }
  }
  return cells;
}

// Empty when every row of every table has as many cells as its header.
inline std::string TableError(const std::string& markdown) {
  size_t columns = 0;
  for (const absl::string_view line : absl::StrSplit(markdown, '\n')) {
    const std::vector<std::string> cells = Cells(line);
    if (!cells.empty() && columns != 0 && cells.size() != columns) return std::string(line);
    columns = cells.size();
  }
  return "";
}

// The rows of all tables whose first column is called `first`.
inline std::vector<std::vector<std::string>> MarkdownTable(const std::string& markdown,
                                                           const std::string& first) {
  std::vector<std::vector<std::string>> rows;
  bool inside = false;
  for (const absl::string_view line : absl::StrSplit(markdown, '\n')) {
    const std::vector<std::string> cells = Cells(line);
    if (cells.empty()) {
      inside = false;
    } else if (cells[0] == first) {
      inside = true;
    } else if (inside && !absl::StartsWith(cells[0], "---")) {
      rows.push_back(cells);
    }
  }
  return rows;
}

// True when the number that is number `which` in `text` is `value` rounded to the digits that it
// has; "< 0.0001" stands for anything below.
inline bool SameRounded(const std::string& text, double value, size_t which = 0) {
  if (absl::StartsWith(text, "< ")) return value < std::stod(text.substr(2));
  std::vector<std::string> numbers;
  for (const absl::string_view part :
       absl::StrSplit(text, absl::ByAnyChar("[], "), absl::SkipEmpty()))
    numbers.emplace_back(part);
  if (which >= numbers.size()) return false;
  double shown = 0;
  const std::string& number = numbers[which];
  if (!absl::SimpleAtod(absl::StripPrefix(number, "+"), &shown)) return false;
  if (absl::StrContains(number, "e")) return std::fabs(shown - value) <= 0.05 * std::fabs(value);
  const size_t point = number.find('.');
  const auto decimals = point == std::string::npos ? 0 : number.size() - point - 1;
  return std::fabs(shown - value) <= 0.5001 * std::pow(10.0, -static_cast<double>(decimals));
}

}  // namespace mellow::report

#endif  // MELLOW_TESTS_COMMON_REPORT_MARKUP_H_
