#ifndef MELLOW_COMMON_DATA_SPLIT_H_
#define MELLOW_COMMON_DATA_SPLIT_H_

// Which rows of a file are trained on and which are held out, as run files, fine-tuning files and
// evaluation files say it: data.train_fraction, data.split_seed and data.split_column. Every one
// that reads such a file splits with SplitRows, so they agree.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/needed_columns.h"
#include "common/data/select.h"

namespace mellow::data {

struct SplitRule {
  double train_fraction = 1;
  // Absent: the first rows in the order of the file are those to train on (SplitInOrder).
  std::optional<uint32_t> seed;
  std::string column = "dialogue";  // whose text tells rows apart; matters with a seed only

  // InvalidArgument, naming the field: a fraction outside [0, 1], or a seed with a fraction that
  // leaves one side empty, which would mean that somebody forgot data.train_fraction.
  [[nodiscard]] absl::Status Validate() const;

  // Adds the column that SplitRows needs, if any.
  void AddNeededColumn(std::vector<NeededColumn>* columns) const;
};

// With a seed a row's side follows from the seed, the fraction and the row's text alone (white
// space aside): it does not depend on filters, on the order of the rows or on what else is in the
// file, and rows with the same text are on the same side. So the train side has that fraction of
// the distinct texts in expectation, not to the row. InvalidArgument: as Validate, or no such
// column.
[[nodiscard]] absl::StatusOr<Split> SplitRows(const Dataset& dataset, const SplitRule& rule);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_SPLIT_H_
