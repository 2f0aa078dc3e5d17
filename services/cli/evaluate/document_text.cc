#include "services/cli/evaluate/document_text.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr int kDocumentWidth = 78;
constexpr size_t kTerminal = 80;
constexpr size_t kMostRows = 20;
constexpr size_t kLongestName = 16;
constexpr int kGroup = 3;  // rows that are worth a line of their own for what they share

using Rows = std::vector<std::vector<std::string>>;

bool FitsTerminal(absl::string_view table) {
  const std::vector<absl::string_view> lines = absl::StrSplit(table, '\n');
  return std::all_of(lines.begin(), lines.end(),
                     [](absl::string_view line) { return line.size() <= kTerminal; });
}

// What stands behind the comma of a row's name, when that is said of several rows, goes into a line
// above them: "toxicity, summary" and "logit, summary" are "summary", "  toxicity" and "  logit".
Rows GroupNames(const Rows& rows) {
  const auto split = [](const std::vector<std::string>& row) {
    return std::pair<std::string, std::string>(absl::StrSplit(row[0], absl::MaxSplits(", ", 1)));
  };
  std::map<std::string, int> shared;
  for (size_t r = 1; r < rows.size(); ++r) ++shared[split(rows[r]).second];
  Rows out = {rows[0]};
  std::string group;
  for (size_t r = 1; r < rows.size(); ++r) {
    const auto [name, of] = split(rows[r]);
    const bool grouped = !of.empty() && shared[of] >= kGroup;
    if (grouped && of != group) out.push_back({of});
    group = grouped ? of : "";
    out.push_back(rows[r]);
    if (grouped) out.back()[0] = absl::StrCat("  ", name);
  }
  return out;
}

// The names of rows in lines of their own above them, each once.
std::string WithNamesAbove(Rows rows) {
  Rows above(rows.size());
  std::string name;
  for (size_t r = 1; r < rows.size(); ++r) {
    if (r == 1 || rows[r][0] != name) above[r - 1].push_back(rows[r][0]);
    name = std::exchange(rows[r][0], "");
  }
  return FormatTable(rows, above);
}

// In a form that fits the terminal, if one does.
std::string Fitting(const Rows& rows) {
  std::string table = FormatTable(rows);
  if (!FitsTerminal(table)) table = FormatTable(GroupNames(rows));
  if (!FitsTerminal(table)) table = WithNamesAbove(rows);
  return table;
}

// The same with numbers in the place of long names of columns and arms, which stand below.
std::string WithNamesBelow(Rows rows) {
  std::string names;
  std::map<std::string, std::string> labels;
  for (std::vector<std::string>& row : rows) {
    for (std::string& cell : row) {
      if (cell.size() <= kLongestName || absl::StrContains(cell, ' ')) continue;
      const auto [label, added] = labels.emplace(cell, absl::StrCat("[", labels.size() + 1, "]"));
      if (added)
        absl::StrAppend(&names, Wrap(absl::StrCat(label->second, " ", cell), kDocumentWidth, ""));
      cell = label->second;
    }
  }
  return Fitting(rows) + names;
}

// Blocks have a blank line between them.
class Writer {
 public:
  void Add(const report::Paragraph& p) { Append(Wrap(p.text, kDocumentWidth, "")); }
  void Add(const report::Callout& c) { Append(Wrap(c.text, kDocumentWidth, "")); }

  void Add(const report::Bullets& b) {
    std::string lines;
    for (const std::string& item : b.items) {
      std::string wrapped = Wrap(item, kDocumentWidth, "  ");
      wrapped[0] = '-';
      absl::StrAppend(&lines, wrapped);
    }
    Append(lines);
  }

  void Add(const report::Table& t) {
    const auto shown = [&t](size_t column) {
      return std::find(t.page_only.begin(), t.page_only.end(), column) == t.page_only.end();
    };
    Rows rows(1);
    for (size_t c = 0; c < t.header.size(); ++c) {
      if (shown(c)) rows[0].push_back(t.header[c]);
    }
    for (const std::vector<report::Cell>& row : t.rows) {
      if (rows.size() > kMostRows) break;
      rows.emplace_back();
      for (size_t c = 0; c < row.size(); ++c) {
        if (shown(c)) rows.back().push_back(row[c].text);
      }
    }
    std::string table = Fitting(rows);
    if (!FitsTerminal(table)) table = WithNamesBelow(rows);
    if (!FitsTerminal(table)) {
      // The names of rows have lines of their own then, and so has the word above them.
      const std::string what = std::exchange(rows[0][0], "");
      table = Wrap(what, kDocumentWidth, "") + WithNamesBelow(rows);
    }
    Append(absl::StrCat(t.title.empty() ? "" : Wrap(t.title, kDocumentWidth, ""), table,
                        t.rows.size() > kMostRows
                            ? absl::StrCat("(and ", t.rows.size() - kMostRows, " more)\n")
                            : ""));
  }

  void Add(const report::Tiles& t) {
    std::string lines;
    for (const report::Tile& tile : t.tiles) {
      absl::StrAppend(&lines,
                      Wrap(absl::StrCat(tile.label, ": ", tile.value, " (", tile.detail, ")"),
                           kDocumentWidth, ""));
    }
    Append(lines);
  }

  void Add(const report::Figures&) {}
  void Add(const report::Verbatim&) {}
  void Add(const report::PairBlock&) {}

  std::string Take() { return std::move(out_); }

 private:
  void Append(const std::string& text) { absl::StrAppend(&out_, out_.empty() ? "" : "\n", text); }

  std::string out_;
};

}  // namespace

std::string DocumentText(const std::vector<report::Block>& blocks) {
  Writer writer;
  for (const report::Block& block : blocks)
    std::visit([&writer](const auto& b) { writer.Add(b); }, block);
  return writer.Take();
}

}  // namespace mellow::cli
