#ifndef MELLOW_SERVICES_CLI_TERMINAL_PRINTABLE_H_
#define MELLOW_SERVICES_CLI_TERMINAL_PRINTABLE_H_

// Texts that nobody vouches for (dialogues, summaries, names, messages of peers) on a terminal,
// which obeys escape sequences and turns lines around at bidirectional marks.

#include <string>

#include "absl/strings/string_view.h"

namespace mellow::cli {

// Control characters (C0, DEL, C1), line and paragraph separators, and characters that change the
// direction of text become visible ("\x1b", "\u202e"); bytes that are no UTF-8 become U+FFFD.
// Newlines and tabs stay.
[[nodiscard]] std::string Printable(absl::string_view text);

// The same on one line: newlines and tabs become spaces.
[[nodiscard]] std::string PrintableLine(absl::string_view text);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_PRINTABLE_H_
