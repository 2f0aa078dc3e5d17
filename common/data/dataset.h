#ifndef MELLOW_COMMON_DATA_DATASET_H_
#define MELLOW_COMMON_DATA_DATASET_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::data {

struct Row {
  int line = 0;                     // where the row begins in its file, from 1
  std::vector<std::string> values;  // UTF-8, one per column of the data set
};

// Rows of named columns, in the order of their file.
class Dataset {
 public:
  Dataset(std::string path, std::vector<std::string> columns, std::vector<Row> rows,
          std::vector<absl::Status> skipped = {}, std::string format = "")
      : path_(std::move(path)),
        columns_(std::move(columns)),
        rows_(std::move(rows)),
        skipped_(std::move(skipped)),
        format_(std::move(format)) {}

  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<Row>& rows() const { return rows_; }
  // What was wrong with each row that ReadOptions::skip_bad_rows left out.
  const std::vector<absl::Status>& skipped() const { return skipped_; }
  // How the file was read, for people ("CSV with semicolons"); empty: it was not.
  const std::string& format() const { return format_; }

  // The place of the column in Row::values. InvalidArgument, with the columns that there are.
  [[nodiscard]] absl::StatusOr<size_t> ColumnIndex(absl::string_view name) const;

 private:
  std::string path_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_;
  std::vector<absl::Status> skipped_;
  std::string format_;
};

struct ReadOptions {
  // What to keep of each row, in this order. Only what is wrong with these makes a row bad. Empty:
  // ColumnNames.
  std::vector<std::string> columns;
  // A bad row is left out and recorded instead of failing the whole file.
  bool skip_bad_rows = false;
};

// Rows of a file's bytes, UTF-8 with or without byte order mark, by the end of `name`, which stands
// for the file:
// .jsonl, .json  one object per line, or one array of objects; numbers and truth values as they
//                stand there
// .csv, .tsv     RFC 4180 with a header line: quoted fields may hold separators, line breaks and
//                doubled quotes. Separator and line ends are those of the header line; blanks
//                around its names mean nothing
// Blank lines are passed over. InvalidArgument: another name, no header, an unknown column, or a
// bad row ("file:line: what is wrong").
[[nodiscard]] absl::StatusOr<Dataset> ParseDataset(absl::string_view bytes, const std::string& name,
                                                   const ReadOptions& options = {});

// The columns of such a file: those of the header, or of any row that is an object, in the order of
// their first appearance. InvalidArgument: the file has no header, or is of none of these formats.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ColumnNames(absl::string_view bytes,
                                                                   const std::string& name);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_DATASET_H_
