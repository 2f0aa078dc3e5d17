#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/data/row_parser.h"
#include "common/text/unicode/utf8.h"

namespace mellow::data {
namespace {

// How a file is written. Its header line, in which nobody quotes line breaks, tells it.
struct Dialect {
  char separator = ',';
  bool only_cr = false;  // lines end with a carriage return, as old Macs wrote them
};

Dialect DialectOf(absl::string_view text, char separator) {
  Dialect dialect;
  text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
  const absl::string_view header = text.substr(0, text.find_first_of("\r\n"));
  const absl::string_view line_end = text.substr(header.size(), 2);
  dialect.only_cr = line_end.substr(0, 1) == "\r" && line_end != "\r\n";
  const auto count = [header](char c) { return std::count(header.begin(), header.end(), c); };
  dialect.separator = separator;
  for (const char other : {',', ';', '\t', '|'}) {
    if (count(other) > count(dialect.separator)) dialect.separator = other;
  }
  return dialect;
}

std::string Describe(const Dialect& dialect) {
  const absl::string_view with = dialect.separator == ','    ? "commas"
                                 : dialect.separator == ';'  ? "semicolons"
                                 : dialect.separator == '\t' ? "tabs"
                                                             : "vertical bars";
  return absl::StrCat("CSV with ", with,
                      dialect.only_cr ? " and carriage returns as line ends" : "");
}

// Cuts a text into records.
class CsvReader {
 public:
  CsvReader(absl::string_view text, Dialect dialect) : text_(text), dialect_(dialect) {}

  // Passes over blank lines; true when no record is left.
  bool Done() {
    while (pos_ < text_.size() && ConsumeLineBreak()) {
    }
    return pos_ == text_.size();
  }

  // The next record; not Done(). A bad one is passed over whole.
  absl::StatusOr<Row> Next() {
    record_ = pos_;
    Row row{.line = line_};
    bad_ = absl::OkStatus();
    while (true) {
      row.values.push_back(Field(row.line));
      if (pos_ == text_.size() || ConsumeLineBreak()) break;
      ++pos_;  // the separator
    }
    MELLOW_RETURN_IF_ERROR(bad_);
    return row;
  }

 private:
  void Complain(int line, absl::string_view what) {
    bad_.Update(absl::InvalidArgumentError(absl::StrCat(line, ": ", what)));
  }

  char LineEnd() const { return dialect_.only_cr ? '\r' : '\n'; }

  // The size of the line break at `pos`: "\n" or "\r\n", or "\r" where it ends lines; else 0.
  size_t LineBreakSize(size_t pos) const {
    const absl::string_view rest = text_.substr(pos, 2);
    if (dialect_.only_cr) return rest.substr(0, 1) == "\r" ? 1 : 0;
    return rest == "\r\n" ? 2 : rest.substr(0, 1) == "\n" ? 1 : 0;
  }

  bool ConsumeLineBreak() {
    const size_t size = LineBreakSize(pos_);
    pos_ += size;
    line_ += size > 0;
    return size > 0;
  }

  bool FieldEndsAt(size_t pos) const {
    return pos == text_.size() || text_[pos] == dialect_.separator || LineBreakSize(pos) > 0;
  }

  // A separator, a quote, and text.
  bool FieldOpensAt(size_t pos) const {
    return text_[pos] == '"' && text_[pos - 1] == dialect_.separator && !FieldEndsAt(pos + 1) &&
           text_[pos + 1] != '"';
  }

  // Up to a separator, a line break or the end. `record_line` is where the record begins.
  std::string Field(int record_line) {
    if (pos_ < text_.size() && text_[pos_] == '"') return QuotedField(record_line);
    const size_t begin = pos_;
    for (; !FieldEndsAt(pos_); ++pos_) {
      if (text_[pos_] == '"') Complain(line_, "a quote inside a field without quotes");
    }
    return std::string(text_.substr(begin, pos_ - begin));
  }

  std::string QuotedField(int record_line) {
    const int line = line_;
    const size_t begin = pos_;
    std::string field;
    for (++pos_; pos_ < text_.size(); ++pos_) {
      if (text_[pos_] == '"') {
        ++pos_;
        if (text_.substr(pos_, 1) != "\"") {
          if (FieldEndsAt(pos_)) return field;
          Complain(line_, "text behind a closing quote");
          PassOverQuotes(begin, line, record_line);
          return "";
        }
      }
      line_ += text_[pos_] == LineEnd();
      field += text_[pos_];
    }
    Complain(line, "a quote that is never closed");
    PassOverQuotes(begin, line, record_line);
    return "";
  }

  // Behind a field with quotes that are not doubled: it ends where quotes have come in pairs,
  // whatever line breaks are between them. Where they never do, or another field begins before,
  // one is missing, and the record is its first line.
  void PassOverQuotes(size_t begin, int line, int record_line) {
    line_ = line;
    bool paired = true;
    for (pos_ = begin; pos_ < text_.size(); ++pos_) {
      if (paired && FieldEndsAt(pos_)) return;
      if (!paired && FieldOpensAt(pos_)) break;
      paired = paired != (text_[pos_] == '"');
      line_ += text_[pos_] == LineEnd();
    }
    if (pos_ == text_.size() && paired) return;
    pos_ = std::min(text_.find(LineEnd(), record_), text_.size());
    line_ = record_line;
  }

  const absl::string_view text_;
  const Dialect dialect_;
  size_t pos_ = 0;
  int line_ = 1;
  size_t record_ = 0;  // where the record begins
  absl::Status bad_;   // the first thing that is wrong with it
};

// Where the wanted columns are in the header. Blanks around a name mean nothing.
absl::StatusOr<std::vector<size_t>> FindColumns(int line, const std::vector<std::string>& header,
                                                const std::vector<std::string>& columns) {
  std::vector<size_t> places;
  for (const std::string& column : columns) {
    const auto name = absl::StripAsciiWhitespace(column);
    const auto it = std::find(header.begin(), header.end(), name);
    if (it == header.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          line, ": no column ", column, " in the header, which has ", absl::StrJoin(header, ", ")));
    }
    if (std::find(it + 1, header.end(), name) != header.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(line, ": two columns are named \"", name, "\""));
    }
    places.push_back(it - header.begin());
  }
  return places;
}

absl::Status CheckRecord(const Row& record, size_t columns) {
  for (size_t i = 0; i < record.values.size(); ++i) {
    if (text::FirstInvalidUtf8(record.values[i]) != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(record.line, ": field ", i + 1, " is not UTF-8"));
    }
  }
  if (record.values.size() == columns) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(record.line, ": ", record.values.size(), " fields, the header has ", columns));
}

}  // namespace

absl::Status ParseCsv(absl::string_view text, char separator,
                      const std::vector<std::string>& columns, const OnBadRow& on_bad_row,
                      ParsedRows* parsed) {
  const Dialect dialect = DialectOf(text, separator);
  parsed->format = Describe(dialect);
  CsvReader reader(text, dialect);
  if (reader.Done()) return absl::InvalidArgumentError("1: no header line");
  MELLOW_ASSIGN_OR_RETURN(const Row header, reader.Next());
  MELLOW_RETURN_IF_ERROR(CheckRecord(header, header.values.size()));
  for (const std::string& name : header.values)
    parsed->columns.emplace_back(absl::StripAsciiWhitespace(name));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<size_t> places,
                          FindColumns(header.line, parsed->columns, columns));
  while (!reader.Done()) {
    absl::StatusOr<Row> record = reader.Next();
    absl::Status status = record.status();
    if (status.ok()) status = CheckRecord(*record, header.values.size());
    if (!status.ok()) {
      MELLOW_RETURN_IF_ERROR(on_bad_row(status));
      continue;
    }
    Row row{.line = record->line};
    for (const size_t place : places) row.values.push_back(std::move(record->values[place]));
    parsed->rows.push_back(std::move(row));
  }
  return absl::OkStatus();
}

}  // namespace mellow::data
