#ifndef MELLOW_COMMON_DATA_SELECT_H_
#define MELLOW_COMMON_DATA_SELECT_H_

// Parts of a data set.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/data/dataset.h"

namespace mellow::data {

struct LengthFilter {
  std::string column;
  // In characters (code points): min_chars < length <= max_chars.
  std::optional<int> min_chars;
  std::optional<int> max_chars;
};

// InvalidArgument: no such column.
[[nodiscard]] absl::StatusOr<Dataset> FilterByLength(const Dataset& dataset,
                                                     const LengthFilter& filter);

struct Split {
  Dataset train;
  Dataset test;
};

// The first `train_fraction` of the rows, rounded down, and the rest; nothing is shuffled.
// InvalidArgument: not in [0, 1].
[[nodiscard]] absl::StatusOr<Split> SplitInOrder(const Dataset& dataset, double train_fraction);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_SELECT_H_
