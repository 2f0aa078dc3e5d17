#include "common/data/needed_columns.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/data/describe.h"
#include "common/data/prompt_template.h"

namespace mellow::data {

absl::Status BadField(absl::string_view field, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", status.message()));
}

absl::StatusOr<std::vector<NeededColumn>> TemplateColumns(absl::string_view field,
                                                          absl::string_view prompt_template) {
  const absl::StatusOr<std::vector<std::string>> names = PromptTemplate::Columns(prompt_template);
  if (!names.ok()) return BadField(field, names.status());
  if (names->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", prompt_template, ": has no column in braces"));
  }
  std::vector<NeededColumn> columns;
  for (const std::string& name : *names) columns.push_back({name, std::string(field)});
  return columns;
}

absl::StatusOr<Dataset> ReadNeededColumns(absl::string_view path_field, const std::string& path,
                                          const std::vector<NeededColumn>& columns,
                                          std::string* sha256) {
  const absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return BadField(path_field, bytes.status());
  if (sha256 != nullptr) *sha256 = Sha256Hex(*bytes);
  ReadOptions options;
  for (const NeededColumn& column : columns) {
    if (std::find(options.columns.begin(), options.columns.end(), column.name) ==
        options.columns.end())
      options.columns.push_back(column.name);
  }
  absl::StatusOr<Dataset> dataset = ParseDataset(*bytes, path, options);
  if (dataset.ok()) return dataset;
  // A column that the whole file lacks is a mistake in the run file; one that a row lacks is not.
  const absl::StatusOr<std::vector<std::string>> names = ColumnNames(*bytes, path);
  if (names.ok() && !names->empty()) {
    const Dataset file(path, *names, {});
    for (const NeededColumn& column : columns) {
      if (const auto place = file.ColumnIndex(column.name); !place.ok())
        return BadField(column.field, place.status());
    }
  }
  return BadField(path_field, dataset.status());
}

absl::Status CheckNotEmpty(absl::string_view path_field, const Dataset& dataset,
                           const std::string& name) {
  MELLOW_ASSIGN_OR_RETURN(const size_t column, dataset.ColumnIndex(name));
  constexpr size_t kMostShown = 10;
  std::vector<int> lines = EmptyRows(dataset, column);
  if (lines.empty()) return absl::OkStatus();
  const size_t count = lines.size();
  lines.resize(std::min(count, kMostShown));
  return absl::InvalidArgumentError(absl::StrCat(
      path_field, ": ", dataset.path(), ": ", count, count == 1 ? " row has" : " rows have",
      " nothing in column \"", name, "\" (line ", absl::StrJoin(lines, ", "),
      count > kMostShown ? ", ..." : "", ")"));
}

}  // namespace mellow::data
