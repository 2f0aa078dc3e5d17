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
  std::vector<std::string> values;  // UTF-8, one a column of the data set
};

// Rows of named columns, in the order of their file.
class Dataset {
 public:
  Dataset(std::string path, std::vector<std::string> columns, std::vector<Row> rows,
          std::vector<absl::Status> skipped = {})
      : path_(std::move(path)),
        columns_(std::move(columns)),
        rows_(std::move(rows)),
        skipped_(std::move(skipped)) {}

  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<Row>& rows() const { return rows_; }
  // What was wrong with each row that ReadOptions::skip_bad_rows left out.
  const std::vector<absl::Status>& skipped() const { return skipped_; }

  // The place of the column in Row::values. InvalidArgument, with the columns that there are.
  [[nodiscard]] absl::StatusOr<size_t> ColumnIndex(absl::string_view name) const;

 private:
  std::string path_;
  std::vector<std::string> columns_;
  std::vector<Row> rows_;
  std::vector<absl::Status> skipped_;
};

struct ReadOptions {
  // What to keep of each row, in this order. Empty: every column of a CSV file; the texts, numbers
  // and truth values of the first row of a JSON Lines file.
  std::vector<std::string> columns;
  // A bad row is left out and recorded instead of failing the whole file.
  bool skip_bad_rows = false;
};

// Reads a file of the Hub into memory: .jsonl (one object a line; numbers and truth values as their
// JSON text), or .csv (RFC 4180 with a header line: quoted fields may hold separators, line breaks
// and doubled quotes). UTF-8, with or without byte order mark; blank lines are passed over.
// NotFound: no such file. InvalidArgument: another extension, no header, an unknown column, or a
// bad row ("file:line: what is wrong").
[[nodiscard]] absl::StatusOr<Dataset> ReadDataset(const std::string& path,
                                                  const ReadOptions& options = {});

// The same from bytes in memory; `name` stands for the file, and its ending tells the format.
[[nodiscard]] absl::StatusOr<Dataset> ParseDataset(absl::string_view bytes, const std::string& name,
                                                   const ReadOptions& options = {});

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_DATASET_H_
