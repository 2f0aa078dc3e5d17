#ifndef MELLOW_COMMON_DATA_ROW_SELECTION_H_
#define MELLOW_COMMON_DATA_ROW_SELECTION_H_

// The rows that a run trains on and the prompts that it makes of them, as the `data` of a run file
// says. The orchestrator and those who show a run's data select with SelectRows, so they agree.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/prompt_template.h"
#include "common/data/shuffle.h"
#include "common/data/split.h"

namespace mellow::data {

struct RowSelection {
  std::string path;
  std::string prompt_template = kDefaultPromptTemplate;
  // In characters of filter_column: min_chars < length <= max_chars.
  std::optional<int> min_chars;
  std::optional<int> max_chars;
  std::string filter_column = "dialogue";
  SplitRule split;
  uint64_t seed = 0;  // of the order in which the run draws rows
};

struct SelectedRows {
  size_t file_rows = 0;
  size_t filtered_rows = 0;  // that pass the filter
  std::string format;        // Dataset::format
  Dataset train;
  Dataset held_out;
  PromptTemplate prompt;                   // of rows of both
  std::unique_ptr<ShuffledIndices> order;  // of train; draw 0 is the run's first prompt
};

// Reads the columns that it needs. InvalidArgument naming the field of the run file: the file
// cannot be read, a column that it does not have, a bad row, no row left to train on.
[[nodiscard]] absl::StatusOr<SelectedRows> SelectRows(const RowSelection& selection);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_ROW_SELECTION_H_
