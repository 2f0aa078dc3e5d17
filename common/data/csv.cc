#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/data/row_parser.h"
#include "common/text/utf8.h"

namespace mellow::data {
namespace {

// Cuts a text into records. A record that breaks the rules is passed over to the end of its first
// line.
class CsvReader {
 public:
  explicit CsvReader(absl::string_view text) : text_(text) {}

  // Passes over blank lines; true when no record is left.
  bool Done() {
    while (pos_ < text_.size() && ConsumeLineBreak()) {
    }
    return pos_ == text_.size();
  }

  // The next record; not Done().
  absl::StatusOr<Row> Next() {
    const size_t begin = pos_;
    const int line = line_;
    absl::StatusOr<Row> row = Record();
    if (!row.ok()) {
      pos_ = std::min(text_.find('\n', begin), text_.size());
      line_ = line;
    }
    return row;
  }

 private:
  absl::Status Bad(int line, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(line, ": ", what));
  }

  // "\n" or "\r\n".
  bool ConsumeLineBreak() {
    const absl::string_view rest = text_.substr(pos_);
    const size_t size = rest.substr(0, 2) == "\r\n" ? 2 : rest.substr(0, 1) == "\n" ? 1 : 0;
    pos_ += size;
    line_ += size > 0;
    return size > 0;
  }

  absl::StatusOr<Row> Record() {
    Row row{.line = line_};
    while (true) {
      MELLOW_ASSIGN_OR_RETURN(std::string field, Field());
      if (text::FirstInvalidUtf8(field) != absl::string_view::npos) {
        return Bad(row.line, absl::StrCat("field ", row.values.size() + 1, " is not UTF-8"));
      }
      row.values.push_back(std::move(field));
      if (pos_ == text_.size() || ConsumeLineBreak()) return row;
      ++pos_;  // the comma
    }
  }

  // Up to a comma, a line break or the end.
  absl::StatusOr<std::string> Field() {
    if (pos_ < text_.size() && text_[pos_] == '"') return QuotedField();
    const size_t begin = pos_;
    while (pos_ < text_.size() && text_[pos_] != ',' && text_[pos_] != '\n' &&
           text_.substr(pos_, 2) != "\r\n") {
      if (text_[pos_] == '"') return Bad(line_, "a quote inside a field without quotes");
      ++pos_;
    }
    return std::string(text_.substr(begin, pos_ - begin));
  }

  absl::StatusOr<std::string> QuotedField() {
    const int line = line_;
    std::string field;
    for (++pos_; pos_ < text_.size(); ++pos_) {
      if (text_[pos_] == '"') {
        ++pos_;
        if (text_.substr(pos_, 1) != "\"") {
          const bool ends = pos_ == text_.size() || text_[pos_] == ',' || text_[pos_] == '\n' ||
                            text_.substr(pos_, 2) == "\r\n";
          if (!ends) return Bad(line_, "text behind a closing quote");
          return field;
        }
      }
      line_ += text_[pos_] == '\n';
      field += text_[pos_];
    }
    return Bad(line, "a quote that is never closed");
  }

  absl::string_view text_;
  size_t pos_ = 0;
  int line_ = 1;
};

// Where the wanted columns are in the header.
absl::StatusOr<std::vector<size_t>> FindColumns(const Row& header,
                                                const std::vector<std::string>& columns) {
  std::vector<size_t> places;
  for (const std::string& column : columns) {
    const auto it = std::find(header.values.begin(), header.values.end(), column);
    if (it == header.values.end()) {
      return absl::InvalidArgumentError(absl::StrCat(header.line, ": no column ", column,
                                                     " in the header, which has ",
                                                     absl::StrJoin(header.values, ", ")));
    }
    if (std::find(it + 1, header.values.end(), column) != header.values.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(header.line, ": two columns are named \"", column, "\""));
    }
    places.push_back(it - header.values.begin());
  }
  return places;
}

}  // namespace

absl::Status ParseCsv(absl::string_view text, const OnBadRow& on_bad_row,
                      std::vector<std::string>* columns, std::vector<Row>* rows) {
  CsvReader reader(text);
  if (reader.Done()) return absl::InvalidArgumentError("1: no header line");
  MELLOW_ASSIGN_OR_RETURN(const Row header, reader.Next());
  if (columns->empty()) *columns = header.values;
  MELLOW_ASSIGN_OR_RETURN(const std::vector<size_t> places, FindColumns(header, *columns));
  while (!reader.Done()) {
    absl::StatusOr<Row> record = reader.Next();
    if (record.ok() && record->values.size() != header.values.size()) {
      record = absl::InvalidArgumentError(absl::StrCat(record->line, ": ", record->values.size(),
                                                       " fields, the header has ",
                                                       header.values.size()));
    }
    if (!record.ok()) {
      MELLOW_RETURN_IF_ERROR(on_bad_row(record.status()));
      continue;
    }
    Row row{.line = record->line};
    for (const size_t place : places) row.values.push_back(std::move(record->values[place]));
    rows->push_back(std::move(row));
  }
  return absl::OkStatus();
}

}  // namespace mellow::data
