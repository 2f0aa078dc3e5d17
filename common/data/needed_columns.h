#ifndef MELLOW_COMMON_DATA_NEEDED_COLUMNS_H_
#define MELLOW_COMMON_DATA_NEEDED_COLUMNS_H_

// Reading the columns that the fields of a run file ask for, with errors that name the field.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/dataset.h"

namespace mellow::data {

// A column, and the field that asks for it ("data.summary_column").
struct NeededColumn {
  std::string name;
  std::string field;
};

// The columns of a prompt template, asked for by `field`. InvalidArgument: as
// PromptTemplate::Columns, or there is none.
[[nodiscard]] absl::StatusOr<std::vector<NeededColumn>> TemplateColumns(
    absl::string_view field, absl::string_view prompt_template);

// Reads these columns, each once, in order. InvalidArgument: a column that the whole file lacks
// (its field is named), or what ParseDataset says (`path_field` is named). `sha256`, when given,
// gets the hash of the bytes that were read.
[[nodiscard]] absl::StatusOr<Dataset> ReadNeededColumns(absl::string_view path_field,
                                                        const std::string& path,
                                                        const std::vector<NeededColumn>& columns,
                                                        std::string* sha256 = nullptr);

// InvalidArgument when a row has nothing but white space in the column; the message has the lines.
[[nodiscard]] absl::Status CheckNotEmpty(absl::string_view path_field, const Dataset& dataset,
                                         const std::string& column);

// "field: what is wrong".
[[nodiscard]] absl::Status BadField(absl::string_view field, const absl::Status& status);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_NEEDED_COLUMNS_H_
