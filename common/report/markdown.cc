#include "common/report/markdown.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/report/escape.h"

namespace mellow::report {
namespace {

// Lines of a text as code: indented, so no fence can be closed from inside.
std::string Code(const std::string& text) {
  std::string out;
  const std::string plain = PlainLines(text);
  for (const absl::string_view line : absl::StrSplit(plain, '\n'))
    absl::StrAppend(&out, line.empty() ? "" : "    ", line, "\n");
  return absl::StrCat(out, "\n");
}

class MarkdownWriter {
 public:
  std::string Write(const Document& d) {
    absl::StrAppend(&out_, "# ", EscapeMarkdown(d.title), "\n\n");
    for (const std::string& paragraph : d.lead)
      absl::StrAppend(&out_, EscapeMarkdown(paragraph), "\n\n");
    for (const Block& block : d.highlights) WriteBlock(block);
    for (const Section& section : d.sections) {
      absl::StrAppend(&out_, "## ", EscapeMarkdown(section.title), "\n\n");
      for (const Block& block : section.blocks) WriteBlock(block);
    }
    absl::StrAppend(&out_, "---\n\n", EscapeMarkdown(d.footer), "\n");
    return std::move(out_);
  }

 private:
  void WriteBlock(const Block& block) {
    std::visit([this](const auto& b) { Add(b); }, block);
  }

  void Add(const Paragraph& p) { absl::StrAppend(&out_, EscapeMarkdown(p.text), "\n\n"); }

  void Add(const Callout& c) {
    absl::StrAppend(&out_, "> ", c.tone == Tone::kBad ? "**Warning.** " : "",
                    EscapeMarkdown(c.text), "\n\n");
  }

  void Add(const Bullets& b) {
    for (const std::string& item : b.items)
      absl::StrAppend(&out_, "- ", EscapeMarkdown(item), "\n");
    absl::StrAppend(&out_, "\n");
  }

  void Add(const Table& t) {
    if (!t.title.empty()) absl::StrAppend(&out_, "**", EscapeMarkdown(t.title), "**\n\n");
    for (const std::string& name : t.header)
      absl::StrAppend(&out_, "| ", EscapeMarkdown(name), " ");
    absl::StrAppend(&out_, "|\n");
    for (size_t c = 0; c < t.header.size(); ++c)
      absl::StrAppend(&out_, !t.rows.empty() && t.rows[0][c].number ? "|--:" : "|---");
    absl::StrAppend(&out_, "|\n");
    for (const std::vector<Cell>& row : t.rows) {
      for (const Cell& cell : row) absl::StrAppend(&out_, "| ", EscapeMarkdown(cell.text), " ");
      absl::StrAppend(&out_, "|\n");
    }
    absl::StrAppend(&out_, "\n");
  }

  void Add(const Tiles& t) {
    for (const Tile& tile : t.tiles) {
      absl::StrAppend(&out_, "- ", EscapeMarkdown(tile.label), ": **", EscapeMarkdown(tile.value),
                      "** (", EscapeMarkdown(tile.detail), ")\n");
    }
    absl::StrAppend(&out_, "\n");
  }

  void Add(const Figures& f) {
    for (const Figure& figure : f.figures) {
      if (figure.text.empty() && figure.caption.empty()) continue;  // a table has its numbers
      absl::StrAppend(&out_, "**", EscapeMarkdown(figure.title), "**\n\n");
      if (!figure.text.empty()) absl::StrAppend(&out_, Code(figure.text));
      if (!figure.caption.empty()) absl::StrAppend(&out_, EscapeMarkdown(figure.caption), "\n\n");
    }
  }

  void Add(const Verbatim& v) {
    absl::StrAppend(&out_, EscapeMarkdown(v.title), ":\n\n", Code(v.text));
  }

  void Add(const PairBlock& p) {
    absl::StrAppend(&out_, "### ", EscapeMarkdown(p.title), "\n\n", Quoted(p.dialogue));
    for (const std::string& reference : p.references)
      absl::StrAppend(&out_, "- Reference: ", EscapeMarkdown(reference), "\n");
    for (const PairSide& side : p.sides) {
      absl::StrAppend(&out_, "- ", EscapeMarkdown(side.arm), " (", EscapeMarkdown(side.facts),
                      "): ", Marked(side.summary), "\n");
    }
    absl::StrAppend(&out_, "\n");
  }

  static std::string Quoted(const std::string& text) {
    std::string out;
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace()))
      absl::StrAppend(&out, "> ", EscapeMarkdown(line), "\\\n");
    // No break after the last line.
    if (!out.empty()) out.erase(out.size() - 2, 1);
    return absl::StrCat(out, "\n");
  }

  static std::string Marked(const std::vector<Segment>& segments) {
    std::string out;
    for (const Segment& segment : segments) {
      const std::string text = EscapeMarkdown(segment.text);
      if (text.empty()) continue;
      absl::StrAppend(&out, out.empty() ? "" : " ",
                      segment.mark > 0 ? absl::StrCat("**", text, "**") : text);
    }
    return out;
  }

  std::string out_;
};

}  // namespace

std::string ToMarkdown(const Document& document) { return MarkdownWriter().Write(document); }

}  // namespace mellow::report
