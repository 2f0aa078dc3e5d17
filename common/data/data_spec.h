#ifndef MELLOW_COMMON_DATA_DATA_SPEC_H_
#define MELLOW_COMMON_DATA_DATA_SPEC_H_

// The rows that `data` of a run file, a fine-tuning file or an evaluation file selects, and the
// prompts that are made of them. Whoever reads such a file selects with SelectRows, so they agree.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/dataset.h"
#include "common/data/needed_columns.h"
#include "common/data/prompt_template.h"
#include "common/data/shuffle.h"
#include "common/data/split.h"
#include "common/text/fitted_prompt.h"

namespace mellow::data {

enum class DataUse { kPpo, kSft, kEvaluation };

// With the defaults filled in; the meanings of the fields stand in data_spec.proto.
struct DataSpec {
  std::string path;
  std::string dialogue_column = "dialogue";
  std::string prompt_template = text::kDefaultPromptTemplate;  // {column} is that column
  std::optional<int> min_chars;                                // length > min_chars
  std::optional<int> max_chars;                                // length <= max_chars
  std::string filter_column = "dialogue";
  SplitRule split;
  std::optional<int> max_source_tokens;

  // These are for fine-tuning.
  std::string summary_column = "summary";
  int max_target_tokens = 128;
  std::string dev_path;  // empty: none
  double dev_fraction = 0;
  std::optional<int> max_dev_rows;

  // These are for an evaluation.
  std::vector<std::string> reference_columns = {"summary"};
  int limit = 0;

  // InvalidArgument naming the field and its value. Does not look at files.
  [[nodiscard]] absl::Status Validate(DataUse use) const;
};

struct SelectedRows {
  size_t file_rows = 0;
  size_t filtered_rows = 0;  // that pass the filter
  std::string format;        // Dataset::format
  std::string sha256;        // of the file
  Dataset train;
  Dataset held_out;
  PromptTemplate prompt;  // of rows of both
};

// Reads the columns that the spec needs, and `more`; filters, then splits. Either side may be
// empty. InvalidArgument naming the field: the file cannot be read, a column that it does not have,
// a bad row. `path_field` is the name of spec.path.
[[nodiscard]] absl::StatusOr<SelectedRows> SelectRows(const DataSpec& spec,
                                                      const std::vector<NeededColumn>& more = {},
                                                      absl::string_view path_field = "data.path");

// The order in which a run of that seed draws the rows of `train`; draw 0 is its first prompt.
// InvalidArgument: there is no row.
[[nodiscard]] absl::StatusOr<std::unique_ptr<ShuffledIndices>> DrawOrder(const SelectedRows& rows,
                                                                         uint64_t seed);

// Says that no row is left after `filters`, names of fields.
[[nodiscard]] absl::Status NoRowsLeft(absl::string_view path_field, const SelectedRows& rows,
                                      absl::string_view filters);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_DATA_SPEC_H_
