#ifndef MELLOW_SERVICES_WIRE_HELP_TEXT_H_
#define MELLOW_SERVICES_WIRE_HELP_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace CLI {
class App;
}  // namespace CLI

namespace mellow::wire {

// Where nothing says how wide a terminal is.
inline constexpr int kHelpColumns = 80;

// Has --help of `app`, and of the commands that are added to it from now on, fit `columns`.
void WrapHelp(CLI::App* app, int columns);

// What CLI11 prints as help, in lines of at most `columns` characters, as far as words let them.
// Descriptions go on below themselves. An example goes on after a backslash, between the words of a
// shell: it runs as it is printed.
[[nodiscard]] std::string WrappedHelp(absl::string_view help, int columns);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_HELP_TEXT_H_
