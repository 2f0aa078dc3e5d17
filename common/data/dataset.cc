#include "common/data/dataset.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/data/row_parser.h"

namespace mellow::data {

absl::StatusOr<size_t> Dataset::ColumnIndex(absl::string_view name) const {
  const auto it = std::find(columns_.begin(), columns_.end(), name);
  if (it != columns_.end()) return static_cast<size_t>(it - columns_.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(path_, ": no column ", name, "; it has ", absl::StrJoin(columns_, ", ")));
}

absl::StatusOr<Dataset> ParseDataset(absl::string_view bytes, const std::string& name,
                                     const ReadOptions& options) {
  absl::ConsumePrefix(&bytes, "\xEF\xBB\xBF");
  std::vector<absl::Status> skipped;
  const auto locate = [&](const absl::Status& status) {  // path:line: what
    return absl::Status(status.code(), absl::StrCat(name, ":", status.message()));
  };
  const OnBadRow on_bad_row = [&](absl::Status status) {
    if (!options.skip_bad_rows) return status;
    skipped.push_back(locate(status));
    return absl::OkStatus();
  };
  std::vector<std::string> columns = options.columns;
  std::vector<Row> rows;
  absl::Status status;
  if (absl::EndsWithIgnoreCase(name, ".jsonl")) {
    status = ParseJsonl(bytes, on_bad_row, &columns, &rows);
  } else if (absl::EndsWithIgnoreCase(name, ".csv")) {
    status = ParseCsv(bytes, on_bad_row, &columns, &rows);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": the name of a data set ends in .jsonl or .csv"));
  }
  if (!status.ok()) return locate(status);
  return Dataset(name, std::move(columns), std::move(rows), std::move(skipped));
}

absl::StatusOr<Dataset> ReadDataset(const std::string& path, const ReadOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParseDataset(bytes, path, options);
}

}  // namespace mellow::data
