#include "common/data/select.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/text/unicode/utf8.h"

namespace mellow::data {

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
  if (!(train_fraction >= 0.0 && train_fraction <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("train_fraction is ", train_fraction, ": not in [0, 1]"));
  }
  const std::vector<Row>& rows = dataset.rows();
  // 0.29 of 100 rows are 29, although 0.29 * 100 is a little less.
  const double share = train_fraction * static_cast<double>(rows.size()) * (1 + 1e-12);
  const auto middle = rows.begin() + static_cast<int64_t>(std::floor(share));
  return Split{.train = Dataset(dataset.path(), dataset.columns(), {rows.begin(), middle}),
               .test = Dataset(dataset.path(), dataset.columns(), {middle, rows.end()})};
}

}  // namespace mellow::data
