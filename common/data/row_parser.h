#ifndef MELLOW_COMMON_DATA_ROW_PARSER_H_
#define MELLOW_COMMON_DATA_ROW_PARSER_H_

// The formats behind ReadDataset. `text` is without byte order mark. Errors begin with the line:
// "7: what is wrong".

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/data/dataset.h"

namespace mellow::data {

// Takes a bad row's status. OK: go on behind it; otherwise reading ends with the status returned.
using OnBadRow = std::function<absl::Status(absl::Status)>;

// `columns` is what the caller wants, or empty; on return, what the rows hold.
[[nodiscard]] absl::Status ParseCsv(absl::string_view text, const OnBadRow& on_bad_row,
                                    std::vector<std::string>* columns, std::vector<Row>* rows);
[[nodiscard]] absl::Status ParseJsonl(absl::string_view text, const OnBadRow& on_bad_row,
                                      std::vector<std::string>* columns, std::vector<Row>* rows);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_ROW_PARSER_H_
