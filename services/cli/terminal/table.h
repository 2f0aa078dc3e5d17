#ifndef MELLOW_SERVICES_CLI_TERMINAL_TABLE_H_
#define MELLOW_SERVICES_CLI_TERMINAL_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::cli {

// Rows of text in aligned columns, two spaces between them, a newline after each row. The first row
// is the header. A column whose cells (the header's excepted) are all numbers is aligned to the
// right. Widths count characters, not bytes. Cells are shown as PrintableLine.
[[nodiscard]] std::string FormatTable(const std::vector<std::vector<std::string>>& texts);

// What tables and the texts around them are made to fit, beside a terminal's right edge.
inline constexpr int kTableWidth = 78;

// The same, with `notes` below each row that has some: wrapped to kTableWidth and indented, so that
// no column of long texts wraps the table. One list for each row, the header's included.
[[nodiscard]] std::string FormatTable(const std::vector<std::vector<std::string>>& texts,
                                      const std::vector<std::vector<std::string>>& notes);

// A number that fits into a table cell: 0.1234, 12.35, 1234, 1.2e-05.
[[nodiscard]] std::string ShortNumber(double value);

// 25.0 of 1 and 4; 0 of nothing.
[[nodiscard]] double PercentOf(int64_t part, int64_t whole);

// In the words of PEFT's print_trainable_parameters, without line end.
[[nodiscard]] std::string ParametersText(int64_t trainable, int64_t all);

// "48 s", "12:05", "3:04:05".
[[nodiscard]] std::string ShortDuration(double seconds);

// UTF-8 text cut into lines of at most `width` characters at spaces, each led by `indent`; long
// words are cut. Shown as PrintableLine.
[[nodiscard]] std::string Wrap(absl::string_view text, int width, absl::string_view indent);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_TABLE_H_
