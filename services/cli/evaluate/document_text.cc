#include "services/cli/evaluate/document_text.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr int kWidth = 78;
constexpr size_t kMostRows = 20;

// Blocks have a blank line between them.
class Writer {
 public:
  void Add(const report::Paragraph& p) { Append(Wrap(p.text, kWidth, "")); }
  void Add(const report::Callout& c) { Append(Wrap(c.text, kWidth, "")); }

  void Add(const report::Bullets& b) {
    std::string lines;
    for (const std::string& item : b.items) {
      std::string wrapped = Wrap(item, kWidth, "  ");
      wrapped[0] = '-';
      absl::StrAppend(&lines, wrapped);
    }
    Append(lines);
  }

  void Add(const report::Table& t) {
    const auto shown = [&t](size_t column) {
      return std::find(t.page_only.begin(), t.page_only.end(), column) == t.page_only.end();
    };
    std::vector<std::vector<std::string>> rows(1);
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
    Append(absl::StrCat(t.title.empty() ? "" : Wrap(t.title, kWidth, ""), FormatTable(rows),
                        t.rows.size() > kMostRows
                            ? absl::StrCat("(and ", t.rows.size() - kMostRows, " more)\n")
                            : ""));
  }

  void Add(const report::Tiles& t) {
    std::string lines;
    for (const report::Tile& tile : t.tiles) {
      absl::StrAppend(
          &lines,
          Wrap(absl::StrCat(tile.label, ": ", tile.value, " (", tile.detail, ")"), kWidth, ""));
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
