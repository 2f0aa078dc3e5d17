#include "common/data/data_spec.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/data/select.h"

namespace mellow::data {
namespace {

constexpr int kMostTokens = 1 << 20;

template <typename T>
absl::Status Check(bool good, absl::string_view field, const T& value, absl::string_view rule) {
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("data.", field, ": ", value, ": must be ", rule));
}

absl::Status CheckTokens(absl::string_view field, int tokens) {
  return Check(tokens >= 2 && tokens <= kMostTokens, field, tokens,
               absl::StrCat("from 2 to ", kMostTokens));
}

}  // namespace

absl::Status DataSpec::Validate(DataUse use) const {
  if (path.empty()) return absl::InvalidArgumentError("data.path: missing");
  if (prompt_template.empty()) return absl::InvalidArgumentError("data.prompt_template: empty");
  if (filter_column.empty()) return absl::InvalidArgumentError("data.filter_column: empty");
  const int least = min_chars.value_or(0);
  MELLOW_RETURN_IF_ERROR(Check(least >= 0, "min_chars", least, "at least 0"));
  MELLOW_RETURN_IF_ERROR(Check(!max_chars || *max_chars > least, "max_chars", max_chars.value_or(0),
                               absl::StrCat("larger than data.min_chars (", least, ")")));
  MELLOW_RETURN_IF_ERROR(split.Validate());
  MELLOW_RETURN_IF_ERROR(Check(use == DataUse::kEvaluation || split.train_fraction > 0,
                               "train_fraction", split.train_fraction, "above 0, at most 1"));
  MELLOW_RETURN_IF_ERROR(CheckTokens("max_source_tokens", max_source_tokens.value_or(2)));
  MELLOW_RETURN_IF_ERROR(CheckTokens("max_target_tokens", max_target_tokens));
  MELLOW_RETURN_IF_ERROR(Check(dev_fraction >= 0 && dev_fraction < 1, "dev_fraction", dev_fraction,
                               "at least 0 and below 1"));
  if (!dev_path.empty() && dev_fraction > 0)
    return absl::InvalidArgumentError("data.dev_path and data.dev_fraction: give one of the two");
  MELLOW_RETURN_IF_ERROR(
      Check(max_dev_rows.value_or(1) >= 1, "max_dev_rows", max_dev_rows.value_or(1), "at least 1"));
  return Check(limit >= 0, "limit", limit, "at least 0");
}

absl::StatusOr<SelectedRows> SelectRows(const DataSpec& spec, const std::vector<NeededColumn>& more,
                                        absl::string_view path_field) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<NeededColumn> columns,
                          TemplateColumns("data.prompt_template", spec.prompt_template));
  columns.insert(columns.end(), more.begin(), more.end());
  const bool filters = spec.min_chars || spec.max_chars;
  if (filters) columns.push_back({spec.filter_column, "data.filter_column"});
  spec.split.AddNeededColumn(&columns);
  std::string sha256;
  MELLOW_ASSIGN_OR_RETURN(Dataset dataset,
                          ReadNeededColumns(path_field, spec.path, columns, &sha256));
  const size_t file_rows = dataset.rows().size();
  std::string format = dataset.format();
  if (filters) {
    MELLOW_ASSIGN_OR_RETURN(
        dataset, FilterByLength(dataset, {spec.filter_column, spec.min_chars, spec.max_chars}));
  }
  MELLOW_ASSIGN_OR_RETURN(Split split, SplitRows(dataset, spec.split));
  absl::StatusOr<PromptTemplate> prompt =
      PromptTemplate::Parse(spec.prompt_template, dataset.columns());
  if (!prompt.ok()) return BadField("data.prompt_template", prompt.status());
  return SelectedRows{file_rows,         dataset.rows().size(),  std::move(format),
                      std::move(sha256), std::move(split.train), std::move(split.test),
                      *std::move(prompt)};
}

absl::StatusOr<std::unique_ptr<ShuffledIndices>> DrawOrder(const SelectedRows& rows,
                                                           uint64_t seed) {
  const size_t count = rows.train.rows().size();
  if (count == 0 || count > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.path: ", rows.train.path(), ": ", count,
                     " rows are left after min_chars, max_chars and train_fraction"));
  }
  return ShuffledIndices::Create(seed, static_cast<uint32_t>(count));
}

absl::Status NoRowsLeft(absl::string_view path_field, const SelectedRows& rows,
                        absl::string_view filters) {
  return absl::InvalidArgumentError(absl::StrCat(
      path_field, ": ", rows.train.path(), ": ",
      rows.file_rows == 0
          ? "has no rows"
          : absl::StrCat("none of ", rows.file_rows, " rows is left after ", filters)));
}

}  // namespace mellow::data
