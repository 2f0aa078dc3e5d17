#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/data/row_parser.h"
#include "common/json/value.h"

namespace mellow::data {
namespace {

constexpr absl::string_view kBlanks = " \t\r\n";
// Rows as Python writes and reads them. A number stays as it stands in the file, so that it may
// also be one that no double holds.
constexpr json::ParseOptions kRow = {
    .last_of_name_counts = true, .python_literals = true, .numbers_as_text = true};

// A row's text and where it begins.
struct Piece {
  absl::string_view json;
  int line = 0;
};

// Cuts the elements out of an array by its brackets, so that no more than one of them is ever
// looked at: a large array costs no more memory than as many lines.
class ArrayReader {
 public:
  explicit ArrayReader(absl::string_view text) : text_(text) { Skip(text_.find('[') + 1); }

  // False: no element is left. InvalidArgument: this is no array anymore.
  absl::StatusOr<bool> Next(Piece* piece) {
    SkipBlanks();
    if (pos_ == text_.size()) return Bad("the array is never closed");
    if (text_[pos_] == ']') return End();
    any_ = true;
    *piece = {.line = line_};
    const size_t begin = pos_;
    const size_t end = ElementEnd();
    if (end == begin) return Bad("an element of the array is missing");
    piece->json = absl::StripTrailingAsciiWhitespace(text_.substr(begin, end - begin));
    Skip(end);
    if (pos_ < text_.size() && text_[pos_] == ',') Skip(pos_ + 1);
    return true;
  }

 private:
  absl::Status Bad(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(line_, ": ", what));
  }

  absl::StatusOr<bool> End() {
    if (!any_) return Bad("an array without rows");
    Skip(pos_ + 1);
    SkipBlanks();
    if (pos_ == text_.size()) return false;
    return Bad("text behind the array of rows");
  }

  // The comma or bracket behind the element, or the end of the text.
  size_t ElementEnd() const {
    int depth = 0;
    bool in_string = false;
    for (size_t i = pos_; i < text_.size(); ++i) {
      const char c = text_[i];
      if (in_string) {
        if (c == '\\') ++i;
        in_string = c != '"';
        continue;
      }
      if (depth <= 0 && (c == ',' || c == ']')) return i;
      in_string = c == '"';
      depth += c == '{' || c == '[';
      depth -= c == '}' || c == ']';
    }
    return text_.size();
  }

  void Skip(size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<int64_t>(pos_),
                                         text_.begin() + static_cast<int64_t>(to), '\n'));
    pos_ = to;
  }
  void SkipBlanks() { Skip(std::min(text_.find_first_not_of(kBlanks, pos_), text_.size())); }

  const absl::string_view text_;
  size_t pos_ = 0;
  int line_ = 1;
  bool any_ = false;
};

class LineReader {
 public:
  // White space of JSON: a carriage return can only end a line of a file without line feeds.
  explicit LineReader(absl::string_view text)
      : text_(text), end_(text.find('\n') == absl::string_view::npos ? '\r' : '\n') {}

  absl::StatusOr<bool> Next(Piece* piece) {
    while (!text_.empty()) {
      const absl::string_view line = text_.substr(0, text_.find(end_));
      text_.remove_prefix(std::min(line.size() + 1, text_.size()));
      ++line_;
      if (line.find_first_not_of(kBlanks) == absl::string_view::npos) continue;
      *piece = {line, line_};
      return true;
    }
    return false;
  }

 private:
  absl::string_view text_;
  const char end_;
  int line_ = 0;
};

// A column's text: a string, a number as it is written, a truth value.
absl::StatusOr<std::string> TextOf(const std::string& column, const json::Value* value) {
  const auto bad = [](auto... what) { return absl::InvalidArgumentError(absl::StrCat(what...)); };
  if (value == nullptr) return bad("column ", column, " is missing");
  if (value->is_string()) return value->string();
  if (value->is_bool()) return std::string(value->boolean() ? "true" : "false");
  if (value->is_null()) return bad("null in column ", column);
  if (value->is_array()) {
    return bad("column ", column, " is a list (of ", value->size(),
               "), not a text; join it to one text, turns with line breaks between them");
  }
  if (value->is_object()) return bad("column ", column, " is an object, not a text");
  const double number = value->number();
  return bad(std::isnan(number) ? "NaN"
             : number > 0       ? "Infinity"
                                : "-Infinity",
             " in column ", column);
}

class RowReader {
 public:
  RowReader(const std::vector<std::string>& columns, ParsedRows* parsed)
      : columns_(columns), parsed_(parsed) {}

  absl::Status Read(const Piece& piece) {
    const absl::StatusOr<json::Value> fields = json::ParseObject(piece.json, "", kRow);
    if (!fields.ok()) {
      const absl::string_view start = absl::StripAsciiWhitespace(piece.json);
      // The first line of an object on several.
      if (start == "{" || start == "[" || start == "},")
        return Bad(piece,
                   "an object on several lines: one per line is wanted, or one array of them");
      return Bad(piece, fields.status().message());
    }
    for (const json::Member& field : fields->members()) {
      if (known_.insert(field.name).second) parsed_->columns.push_back(field.name);
    }
    Row row{.line = piece.line};
    for (const std::string& column : columns_) {
      absl::StatusOr<std::string> text = TextOf(column, fields->Find(column));
      if (!text.ok()) return Bad(piece, text.status().message());
      row.values.push_back(*std::move(text));
    }
    parsed_->rows.push_back(std::move(row));
    return absl::OkStatus();
  }

 private:
  static absl::Status Bad(const Piece& piece, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(piece.line, ": ", what));
  }

  const std::vector<std::string>& columns_;
  ParsedRows* const parsed_;
  absl::flat_hash_set<std::string> known_;
};

template <typename Pieces>
absl::Status ReadAll(Pieces pieces, const std::vector<std::string>& columns,
                     const OnBadRow& on_bad_row, ParsedRows* parsed) {
  RowReader reader(columns, parsed);
  for (Piece piece;;) {
    const absl::StatusOr<bool> more = pieces.Next(&piece);
    if (!more.ok()) return on_bad_row(more.status());  // nothing is known of what follows
    if (!*more) return absl::OkStatus();
    if (const absl::Status read = reader.Read(piece); !read.ok())
      MELLOW_RETURN_IF_ERROR(on_bad_row(read));
  }
}

// A line of JSON Lines is an object, so a file that begins with a bracket is one array of rows.
bool IsArray(absl::string_view text) {
  const size_t start = text.find_first_not_of(kBlanks);
  return start != absl::string_view::npos && text[start] == '[';
}

}  // namespace

absl::Status ParseJsonRows(absl::string_view text, const std::vector<std::string>& columns,
                           const OnBadRow& on_bad_row, ParsedRows* parsed) {
  if (IsArray(text)) {
    parsed->format = "a JSON array of rows";
    return ReadAll(ArrayReader(text), columns, on_bad_row, parsed);
  }
  parsed->format = "JSON Lines";
  return ReadAll(LineReader(text), columns, on_bad_row, parsed);
}

}  // namespace mellow::data
