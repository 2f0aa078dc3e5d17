#ifndef MELLOW_SERVICES_CLI_TERMINAL_COMPLETION_H_
#define MELLOW_SERVICES_CLI_TERMINAL_COMPLETION_H_

#include <string>

namespace CLI {
class App;
}  // namespace CLI

namespace mellow::cli {

// A script for bash that completes the commands of `app`, their options and the values that an
// option or argument names in its type ("auto|cpu|cuda:N", a set of a validator), as they are
// declared, and file names everywhere else. Hidden commands and options are left out.
[[nodiscard]] std::string BashCompletion(const CLI::App& app);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_COMPLETION_H_
