#include "common/data/row_selection.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/data/needed_columns.h"
#include "common/data/select.h"

namespace mellow::data {

absl::StatusOr<SelectedRows> SelectRows(const RowSelection& selection) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<NeededColumn> columns,
                          TemplateColumns("data.prompt_template", selection.prompt_template));
  const bool filters = selection.min_chars || selection.max_chars;
  if (filters) columns.push_back({selection.filter_column, "data.filter_column"});
  selection.split.AddNeededColumn(&columns);
  MELLOW_ASSIGN_OR_RETURN(Dataset dataset, ReadNeededColumns("data.path", selection.path, columns));
  const size_t file_rows = dataset.rows().size();
  std::string format = dataset.format();
  if (filters) {
    MELLOW_ASSIGN_OR_RETURN(
        dataset, FilterByLength(
                     dataset, {selection.filter_column, selection.min_chars, selection.max_chars}));
  }
  const size_t filtered_rows = dataset.rows().size();
  MELLOW_ASSIGN_OR_RETURN(Split split, SplitRows(dataset, selection.split));
  const size_t rows = split.train.rows().size();
  if (rows == 0 || rows > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.path: ", selection.path, ": ", rows,
                     " rows are left after min_chars, max_chars and train_fraction"));
  }
  absl::StatusOr<PromptTemplate> prompt =
      PromptTemplate::Parse(selection.prompt_template, split.train.columns());
  if (!prompt.ok()) return BadField("data.prompt_template", prompt.status());
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<ShuffledIndices> order,
                          ShuffledIndices::Create(selection.seed, static_cast<uint32_t>(rows)));
  return SelectedRows{file_rows,
                      filtered_rows,
                      std::move(format),
                      std::move(split.train),
                      std::move(split.test),
                      *std::move(prompt),
                      std::move(order)};
}

}  // namespace mellow::data
