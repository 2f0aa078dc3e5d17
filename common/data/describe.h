#ifndef MELLOW_COMMON_DATA_DESCRIBE_H_
#define MELLOW_COMMON_DATA_DESCRIBE_H_

#include <cstddef>
#include <vector>

#include "common/data/dataset.h"

namespace mellow::data {

// The lines of the rows that have nothing but white space in that column.
[[nodiscard]] std::vector<int> EmptyRows(const Dataset& dataset, size_t column);

// A row whose text in a column was there before.
struct Duplicate {
  int line = 0;
  int first_line = 0;
};
// In file order; rows that EmptyRows gives do not count.
[[nodiscard]] std::vector<Duplicate> DuplicateRows(const Dataset& dataset, size_t column);

// The length of that column in every row, in characters (code points).
[[nodiscard]] std::vector<double> CharacterLengths(const Dataset& dataset, size_t column);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_DESCRIBE_H_
