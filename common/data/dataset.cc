#include "common/data/dataset.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/data/row_parser.h"

namespace mellow::data {

absl::StatusOr<size_t> Dataset::ColumnIndex(absl::string_view name) const {
  const auto it = std::find(columns_.begin(), columns_.end(), name);
  if (it != columns_.end()) return static_cast<size_t>(it - columns_.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(path_, ": no column ", name, "; it has ", absl::StrJoin(columns_, ", ")));
}

namespace {

// `name` stands for the file.
absl::Status ParseRows(absl::string_view bytes, const std::string& name,
                       const std::vector<std::string>& columns, const OnBadRow& on_bad_row,
                       ParsedRows* parsed) {
  if (absl::StartsWith(bytes, "\xFF\xFE") || absl::StartsWith(bytes, "\xFE\xFF"))
    return absl::InvalidArgumentError("1: the file is UTF-16; save it as UTF-8");
  absl::ConsumePrefix(&bytes, "\xEF\xBB\xBF");
  const auto ends_in = [&name](absl::string_view end) {
    return absl::EndsWithIgnoreCase(name, end);
  };
  if (ends_in(".jsonl") || ends_in(".json"))
    return ParseJsonRows(bytes, columns, on_bad_row, parsed);
  if (ends_in(".csv")) return ParseCsv(bytes, ',', columns, on_bad_row, parsed);
  return ParseCsv(bytes, '\t', columns, on_bad_row, parsed);
}

absl::Status CheckName(absl::string_view name) {
  for (const absl::string_view end : {".jsonl", ".json", ".csv", ".tsv"}) {
    if (absl::EndsWithIgnoreCase(name, end)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": the name of a data set ends in .jsonl, .json, .csv or .tsv"));
}

}  // namespace

absl::StatusOr<Dataset> ParseDataset(absl::string_view bytes, const std::string& name,
                                     const ReadOptions& options) {
  MELLOW_RETURN_IF_ERROR(CheckName(name));
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
  if (columns.empty()) {
    MELLOW_ASSIGN_OR_RETURN(columns, ColumnNames(bytes, name));
  }
  ParsedRows parsed;
  const absl::Status status = ParseRows(bytes, name, columns, on_bad_row, &parsed);
  if (!status.ok()) return locate(status);
  return Dataset(name, std::move(columns), std::move(parsed.rows), std::move(skipped),
                 std::move(parsed.format));
}

absl::StatusOr<std::vector<std::string>> ColumnNames(absl::string_view bytes,
                                                     const std::string& name) {
  MELLOW_RETURN_IF_ERROR(CheckName(name));
  ParsedRows parsed;
  const OnBadRow on_bad_row = [](const absl::Status&) { return absl::OkStatus(); };
  const absl::Status status = ParseRows(bytes, name, /*columns=*/{}, on_bad_row, &parsed);
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(name, ":", status.message()));
  return std::move(parsed.columns);
}

}  // namespace mellow::data
