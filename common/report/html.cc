#include "common/report/html.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/report/escape.h"
#include "common/report/html_style.h"

namespace mellow::report {
namespace {

absl::string_view ToneClass(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "good";
    case Tone::kBad:
      return "bad";
    case Tone::kMuted:
      return "muted";
    case Tone::kPlain:
      return "plain";
  }
  return "plain";
}

// Text of others: its direction is its own and does not spill over.
std::string Foreign(absl::string_view element, absl::string_view css_class,
                    const std::string& text) {
  return absl::StrCat("<", element, " class=\"", css_class, "\" dir=\"auto\">", EscapeHtml(text),
                      "</", element, ">");
}

// "-0.4088" with a minus that is as wide as a plus.
std::string NumberHtml(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool minus = text[i] == '-' && i + 1 < text.size() && text[i + 1] >= '0' &&
                       text[i + 1] <= '9' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '[');
    out += minus ? "\u2212" : text.substr(i, 1);
  }
  return EscapeHtml(out);
}

class HtmlWriter {
 public:
  std::string Write(const Document& d) {
    absl::StrAppend(
        &out_,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
        EscapeHtml(d.title), "</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n<main>\n");
    absl::StrAppend(&out_, "<header>\n<h1>", EscapeHtml(d.title), "</h1>\n");
    for (const std::string& paragraph : d.lead)
      absl::StrAppend(&out_, "<p class=\"lead\">", EscapeHtml(paragraph), "</p>\n");
    for (const Block& block : d.highlights) WriteBlock(block);
    absl::StrAppend(&out_, "<nav aria-label=\"Sections\"><ul>\n");
    for (const Section& section : d.sections) {
      absl::StrAppend(&out_, "<li><a href=\"#", section.id, "\">", EscapeHtml(section.title),
                      "</a></li>\n");
    }
    absl::StrAppend(&out_, "</ul></nav>\n</header>\n");
    for (const Section& section : d.sections) {
      absl::StrAppend(&out_, "<section id=\"", section.id, "\">\n<h2>", EscapeHtml(section.title),
                      "</h2>\n");
      for (const Block& block : section.blocks) WriteBlock(block);
      absl::StrAppend(&out_, "</section>\n");
    }
    absl::StrAppend(&out_, "<footer>", EscapeHtml(d.footer),
                    "</footer>\n</main>\n</body>\n</html>\n");
    return std::move(out_);
  }

 private:
  void WriteBlock(const Block& block) {
    std::visit([this](const auto& b) { Add(b); }, block);
  }

  void Add(const Paragraph& p) { absl::StrAppend(&out_, "<p>", EscapeHtml(p.text), "</p>\n"); }

  void Add(const Callout& c) {
    absl::StrAppend(&out_, "<p class=\"callout ", ToneClass(c.tone), "\">", EscapeHtml(c.text),
                    "</p>\n");
  }

  void Add(const Bullets& b) {
    absl::StrAppend(&out_, "<ul>\n");
    for (const std::string& item : b.items)
      absl::StrAppend(&out_, "<li>", EscapeHtml(item), "</li>\n");
    absl::StrAppend(&out_, "</ul>\n");
  }

  // On a narrow screen a row becomes a card: each cell brings its column's name.
  void Add(const Table& t) {
    absl::StrAppend(&out_, "<div class=\"scroll\"><table>\n");
    if (!t.title.empty()) absl::StrAppend(&out_, "<caption>", EscapeHtml(t.title), "</caption>\n");
    absl::StrAppend(&out_, "<thead><tr>");
    for (size_t c = 0; c < t.header.size(); ++c) {
      const bool number = !t.rows.empty() && t.rows[0][c].number;
      absl::StrAppend(&out_, "<th scope=\"col\"", number ? " class=\"number\"" : "", ">",
                      EscapeHtml(t.header[c]), "</th>");
    }
    absl::StrAppend(&out_, "</tr></thead>\n<tbody>\n");
    for (const std::vector<Cell>& row : t.rows) {
      absl::StrAppend(&out_, "<tr>");
      for (size_t c = 0; c < row.size(); ++c) {
        const Cell& cell = row[c];
        absl::StrAppend(&out_, "<td data-label=\"", EscapeHtml(t.header[c]), "\" class=\"",
                        cell.number ? "number " : "", ToneClass(cell.tone), "\"><span>",
                        cell.number ? NumberHtml(cell.text) : EscapeHtml(cell.text),
                        "</span></td>");
      }
      absl::StrAppend(&out_, "</tr>\n");
    }
    absl::StrAppend(&out_, "</tbody></table></div>\n");
  }

  void Add(const Tiles& t) {
    absl::StrAppend(&out_, "<dl class=\"tiles\">\n");
    for (const Tile& tile : t.tiles) {
      absl::StrAppend(&out_, "<div class=\"", ToneClass(tile.tone), "\"><dt>",
                      EscapeHtml(tile.label), "</dt><dd class=\"value\">", NumberHtml(tile.value),
                      "</dd><dd>", EscapeHtml(tile.detail), "</dd></div>\n");
    }
    absl::StrAppend(&out_, "</dl>\n");
  }

  void Add(const Figures& f) {
    absl::StrAppend(&out_, "<div class=\"figures\">\n");
    for (const Figure& figure : f.figures) {
      absl::StrAppend(&out_, "<figure>\n<figcaption>", EscapeHtml(figure.title), "</figcaption>\n",
                      figure.svg, "\n");
      if (!figure.caption.empty())
        absl::StrAppend(&out_, "<p class=\"small\">", EscapeHtml(figure.caption), "</p>\n");
      absl::StrAppend(&out_, "</figure>\n");
    }
    absl::StrAppend(&out_, "</div>\n");
  }

  void Add(const Verbatim& v) {
    absl::StrAppend(&out_, "<details><summary>", EscapeHtml(v.title), "</summary>",
                    Foreign("pre", "verbatim", v.text), "</details>\n");
  }

  void Add(const PairBlock& p) {
    absl::StrAppend(&out_, "<article class=\"pair\">\n<h3>", EscapeHtml(p.title),
                    "</h3>\n<details><summary>Dialogue</summary>",
                    Foreign("pre", "text", p.dialogue), "</details>\n");
    for (const std::string& reference : p.references) {
      absl::StrAppend(&out_, "<div class=\"reference\"><b>Reference</b>",
                      Foreign("p", "text", reference), "</div>\n");
    }
    absl::StrAppend(&out_, "<div class=\"sides\">\n");
    for (const PairSide& side : p.sides) {
      absl::StrAppend(&out_, "<div><h4>", EscapeHtml(side.arm), "</h4><p class=\"small ",
                      ToneClass(side.tone), "\">", EscapeHtml(side.facts),
                      "</p><p class=\"text\" dir=\"auto\">");
      for (const Segment& segment : side.summary) {
        if (segment.mark == 0) {
          absl::StrAppend(&out_, EscapeHtml(segment.text));
        } else {
          absl::StrAppend(&out_, "<mark class=\"m", segment.mark, "\" title=\"",
                          EscapeHtml(segment.hint), "\">", EscapeHtml(segment.text), "</mark>");
        }
      }
      absl::StrAppend(&out_, "</p></div>\n");
    }
    absl::StrAppend(&out_, "</div>\n</article>\n");
  }

  std::string out_;
};

}  // namespace

std::string ToHtml(const Document& document) { return HtmlWriter().Write(document); }

}  // namespace mellow::report
