#include "common/data/select.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/data/shuffle.h"
#include "common/text/utf8.h"

namespace mellow::data {
namespace {

// How many rows that share is.
absl::StatusOr<size_t> RowsOf(const Dataset& dataset, double fraction) {
  if (!(fraction >= 0.0 && fraction <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("train_fraction is ", fraction, ": not in [0, 1]"));
  }
  // 0.29 of 100 rows are 29, although 0.29 * 100 is a little less.
  return static_cast<size_t>(
      std::floor(fraction * static_cast<double>(dataset.rows().size()) * (1 + 1e-12)));
}

}  // namespace

absl::StatusOr<Dataset> FilterByLength(const Dataset& dataset, const LengthFilter& filter) {
  MELLOW_ASSIGN_OR_RETURN(const size_t column, dataset.ColumnIndex(filter.column));
  std::vector<Row> rows;
  for (const Row& row : dataset.rows()) {
    const auto length = static_cast<int64_t>(text::CountCodePoints(row.values[column]));
    if (filter.min_chars.has_value() && length <= *filter.min_chars) continue;
    if (filter.max_chars.has_value() && length > *filter.max_chars) continue;
    rows.push_back(row);
  }
  return Dataset(dataset.path(), dataset.columns(), std::move(rows), dataset.skipped());
}

absl::StatusOr<Split> SplitInOrder(const Dataset& dataset, double train_fraction) {
  MELLOW_ASSIGN_OR_RETURN(const size_t share, RowsOf(dataset, train_fraction));
  const std::vector<Row>& rows = dataset.rows();
  const auto middle = rows.begin() + static_cast<int64_t>(share);
  return Split{.train = Dataset(dataset.path(), dataset.columns(), {rows.begin(), middle}),
               .test = Dataset(dataset.path(), dataset.columns(), {middle, rows.end()})};
}

absl::StatusOr<Split> SplitBySeed(const Dataset& dataset, double train_fraction, uint64_t seed) {
  MELLOW_ASSIGN_OR_RETURN(const size_t share, RowsOf(dataset, train_fraction));
  const std::vector<Row>& rows = dataset.rows();
  const std::vector<uint32_t> order =
      Permutation(seed, /*epoch=*/0, static_cast<uint32_t>(rows.size()));
  std::vector<bool> drawn(rows.size());
  for (size_t i = 0; i < share; ++i) drawn[order[i]] = true;
  std::vector<Row> parts[2];
  for (size_t i = 0; i < rows.size(); ++i) parts[drawn[i] ? 0 : 1].push_back(rows[i]);
  return Split{.train = Dataset(dataset.path(), dataset.columns(), std::move(parts[0])),
               .test = Dataset(dataset.path(), dataset.columns(), std::move(parts[1]))};
}

}  // namespace mellow::data
