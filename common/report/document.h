#ifndef MELLOW_COMMON_REPORT_DOCUMENT_H_
#define MELLOW_COMMON_REPORT_DOCUMENT_H_

// A report before it is HTML, Markdown or lines of a terminal: plain texts in blocks in sections.
// All strings are text, not markup (whoever writes the document escapes them), but for Figure::svg.

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace mellow::report {

enum class Tone { kPlain, kGood, kBad, kMuted };

struct Paragraph {
  std::string text;
};

// A sentence that must not be missed.
struct Callout {
  Tone tone = Tone::kPlain;
  std::string text;
};

struct Bullets {
  std::vector<std::string> items;
};

struct Cell {
  std::string text;
  bool number = false;  // aligned to the right
  Tone tone = Tone::kPlain;
};

struct Table {
  std::string title;                // may be empty
  std::vector<std::string> header;  // as every row
  std::vector<std::vector<Cell>> rows;
  std::vector<size_t> page_only = {};  // columns that a terminal has no room for
};

// A number that is to be seen first.
struct Tile {
  std::string label;
  std::string value;
  std::string detail;
  Tone tone = Tone::kPlain;
};
struct Tiles {
  std::vector<Tile> tiles;
};

struct Figure {
  std::string title;
  std::string svg;      // from charts.h
  std::string text;     // the same as monospaced lines; empty: a table beside it has its numbers
  std::string caption;  // may be empty
};
// Beside each other where there is room.
struct Figures {
  std::vector<Figure> figures;
};

// Text as it is, with its line breaks; folded away at first.
struct Verbatim {
  std::string title;
  std::string text;
};

// A piece of a text; `mark` 1 to 3: toxic, weakly to strongly.
struct Segment {
  std::string text;
  int mark = 0;
  std::string hint;
};
struct PairSide {
  std::string arm;
  std::string facts;  // "P(toxic) 0.912, 14 tokens"
  Tone tone = Tone::kPlain;
  std::vector<Segment> summary;
};
// One dialogue with what each arm makes of it.
struct PairBlock {
  std::string title;
  std::string dialogue;
  std::vector<std::string> references;
  std::vector<PairSide> sides;
};

using Block = std::variant<Paragraph, Callout, Bullets, Table, Tiles, Figures, Verbatim, PairBlock>;

struct Section {
  std::string id;  // [a-z-]
  std::string title;
  std::vector<Block> blocks;
};

struct Document {
  std::string title;
  std::vector<std::string> lead;  // paragraphs: what came of it
  std::vector<Block> highlights;
  std::vector<Section> sections;
  std::string footer;
};

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_DOCUMENT_H_
