#include "services/cli/probe/dialogue_file.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/data/select.h"

namespace mellow::cli {

absl::StatusOr<std::vector<Dialogue>> ReadDialogues(const std::string& path,
                                                    const DialogueFilter& filter) {
  MELLOW_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> names, data::ColumnNames(bytes, path));
  data::ReadOptions options = {.columns = {"dialogue"}};
  if (std::find(names.begin(), names.end(), "summary") != names.end())
    options.columns.emplace_back("summary");
  MELLOW_ASSIGN_OR_RETURN(data::Dataset dataset, data::ParseDataset(bytes, path, options));
  data::LengthFilter length = {.column = "dialogue"};
  if (filter.min_chars > 0) length.min_chars = filter.min_chars;
  if (filter.max_chars > 0) length.max_chars = filter.max_chars;
  MELLOW_ASSIGN_OR_RETURN(dataset, data::FilterByLength(dataset, length));
  MELLOW_ASSIGN_OR_RETURN(const size_t dialogue, dataset.ColumnIndex("dialogue"));
  const absl::StatusOr<size_t> summary = dataset.ColumnIndex("summary");
  std::vector<Dialogue> rows;
  for (const data::Row& row : dataset.rows()) {
    if (filter.limit > 0 && static_cast<int>(rows.size()) >= filter.limit) break;
    rows.push_back({row.values[dialogue], summary.ok() ? row.values[*summary] : ""});
  }
  if (rows.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no dialogue passes the filter"));
  }
  return rows;
}

std::string NotebookPrompt(const std::string& dialogue) {
  return absl::StrCat("\nSummarize the following conversation.\n\n", dialogue, "\n\nSummary:\n");
}

}  // namespace mellow::cli
