#include "common/data/split.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace mellow::data {
namespace {

// Uniform in [0, 1) over texts. A larger fraction keeps what a smaller one had on the train side.
double DrawOf(uint32_t seed, absl::string_view text) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\r\n\v\f"), absl::SkipEmpty());
  // 52 bits, which a double holds exactly.
  const std::string digits =
      Sha256Hex(absl::StrCat("split ", seed, "\n", absl::StrJoin(words, " "))).substr(0, 13);
  return static_cast<double>(std::strtoull(digits.c_str(), nullptr, 16)) / (uint64_t{1} << 52);
}

}  // namespace

absl::Status SplitRule::Validate() const {
  // Written so that NaN fails.
  if (!(train_fraction >= 0 && train_fraction <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.train_fraction: ", train_fraction, ": must be in [0, 1]"));
  }
  if (!seed) return absl::OkStatus();
  if (!(train_fraction > 0 && train_fraction < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.split_seed: ", *seed, ": needs a data.train_fraction between 0 and 1, ",
                     "which is ", train_fraction));
  }
  if (column.empty()) return absl::InvalidArgumentError("data.split_column: empty");
  return absl::OkStatus();
}

void SplitRule::AddNeededColumn(std::vector<NeededColumn>* columns) const {
  if (seed) columns->push_back({column, "data.split_column"});
}

absl::StatusOr<Split> SplitRows(const Dataset& dataset, const SplitRule& rule) {
  MELLOW_RETURN_IF_ERROR(rule.Validate());
  if (!rule.seed) return SplitInOrder(dataset, rule.train_fraction);
  MELLOW_ASSIGN_OR_RETURN(const size_t column, dataset.ColumnIndex(rule.column));
  std::vector<Row> train;
  std::vector<Row> test;
  for (const Row& row : dataset.rows()) {
    const bool trains = DrawOf(*rule.seed, row.values[column]) < rule.train_fraction;
    (trains ? train : test).push_back(row);
  }
  return Split{.train = Dataset(dataset.path(), dataset.columns(), std::move(train)),
               .test = Dataset(dataset.path(), dataset.columns(), std::move(test))};
}

}  // namespace mellow::data
