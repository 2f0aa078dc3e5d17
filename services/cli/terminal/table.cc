#include "services/cli/terminal/table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/plural.h"
#include "services/cli/terminal/printable.h"

namespace mellow::cli {
namespace {

bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

size_t Characters(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

// Bytes of the first `count` characters.
size_t BytesOf(absl::string_view text, size_t count) {
  size_t i = 0;
  while (i < text.size() && (count > 0 || !StartsCharacter(text[i]))) {
    if (StartsCharacter(text[i])) --count;
    ++i;
  }
  return i;
}

// Also with commas between thousands.
bool IsNumber(const std::string& text) {
  double ignored = 0;
  return absl::SimpleAtod(absl::StrReplaceAll(text, {{",", ""}}), &ignored);
}

}  // namespace

std::string FormatTable(const std::vector<std::vector<std::string>>& texts) {
  std::vector<std::vector<std::string>> rows = texts;
  for (std::vector<std::string>& row : rows) {
    for (std::string& cell : row) cell = PrintableLine(cell);
  }
  std::vector<size_t> widths;
  std::vector<bool> numbers;
  for (size_t r = 0; r < rows.size(); ++r) {
    widths.resize(std::max(widths.size(), rows[r].size()));
    numbers.resize(widths.size(), rows.size() > 1);
    for (size_t c = 0; c < rows[r].size(); ++c) {
      widths[c] = std::max(widths[c], Characters(rows[r][c]));
      if (r > 0 && rows[r][c] != "-" && !IsNumber(rows[r][c])) numbers[c] = false;
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - Characters(row[c]), ' ');
      absl::StrAppend(&line, c > 0 ? "  " : "", numbers[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& texts,
                        const std::vector<std::vector<std::string>>& notes) {
  const std::string table = FormatTable(texts);
  const std::vector<absl::string_view> lines = absl::StrSplit(table, '\n');
  std::string out;
  for (size_t row = 0; row < texts.size(); ++row) {
    absl::StrAppend(&out, lines[row], "\n");
    for (const std::string& note : notes[row]) absl::StrAppend(&out, Wrap(note, kTableWidth, "  "));
  }
  return out;
}

std::string ShortNumber(double value) {
  const double size = std::fabs(value);
  if (!std::isfinite(value)) return absl::StrCat(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return absl::StrFormat("%.1e", value);
  if (size >= 1000) return absl::StrFormat("%.0f", value);
  if (size >= 10) return absl::StrFormat("%.2f", value);
  return absl::StrFormat("%.4f", value);
}

double PercentOf(int64_t part, int64_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
}

std::string ParametersText(int64_t trainable, int64_t all) {
  return absl::StrFormat("trainable params: %s || all params: %s || trainable%%: %.4f",
                         Grouped(trainable), Grouped(all), PercentOf(trainable, all));
}

std::string ShortDuration(double seconds) {
  const auto s = static_cast<int64_t>(std::clamp(std::round(seconds), 0.0, 3.6e8));
  if (s < 60) return absl::StrCat(s, " s");
  if (s < 3600) return absl::StrFormat("%d:%02d", s / 60, s % 60);
  return absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

std::string Wrap(absl::string_view text, int width, absl::string_view indent) {
  const size_t room = std::max<size_t>(
      8, static_cast<size_t>(width) - std::min<size_t>(indent.size(), static_cast<size_t>(width)));
  std::string out;
  std::string line;
  size_t used = 0;
  const auto flush = [&] {
    absl::StrAppend(&out, indent, line, "\n");
    line.clear();
    used = 0;
  };
  const std::string printable = PrintableLine(text);
  for (absl::string_view word : absl::StrSplit(printable, ' ', absl::SkipEmpty())) {
    if (used > 0 && used + 1 + Characters(word) > room) flush();
    while (Characters(word) > room) {
      const size_t bytes = BytesOf(word, room);
      line = std::string(word.substr(0, bytes));
      word.remove_prefix(bytes);
      flush();
    }
    if (used > 0) line += ' ';
    used += (used > 0 ? 1 : 0) + Characters(word);
    absl::StrAppend(&line, word);
  }
  if (!line.empty() || out.empty()) flush();
  return out;
}

}  // namespace mellow::cli
