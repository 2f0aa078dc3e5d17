#include "services/cli/terminal/command.h"

#include <CLI/CLI.hpp>

namespace mellow::cli {

void AddStrictFlag(CLI::App* sub, bool* strict) {
  sub->add_flag("--strict", *strict,
                "Exit code 1 when any line failed [only when all did, or no server answered]");
}

}  // namespace mellow::cli
