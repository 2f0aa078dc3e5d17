#ifndef MELLOW_COMMON_DATA_ROW_PARSER_H_
#define MELLOW_COMMON_DATA_ROW_PARSER_H_

// The formats behind ParseDataset. `text` is without byte order mark. Errors begin with the line:
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

struct ParsedRows {
  std::vector<std::string> columns;  // of the file, in order of their first appearance
  std::vector<Row> rows;             // the columns asked for
  std::string format;                // for people: "CSV with semicolons"
};

// `separator`: ',', or '\t' for a file that says so; other ones are taken from the header line when
// it has more of them than of this.
[[nodiscard]] absl::Status ParseCsv(absl::string_view text, char separator,
                                    const std::vector<std::string>& columns,
                                    const OnBadRow& on_bad_row, ParsedRows* parsed);
// Objects, one per line, or one array of them, on any lines.
[[nodiscard]] absl::Status ParseJsonRows(absl::string_view text,
                                         const std::vector<std::string>& columns,
                                         const OnBadRow& on_bad_row, ParsedRows* parsed);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_ROW_PARSER_H_
