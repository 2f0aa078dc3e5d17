#ifndef MELLOW_SERVICES_CLI_FILES_STEP_NAME_H_
#define MELLOW_SERVICES_CLI_FILES_STEP_NAME_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mellow::cli {

// The adapter of a step as people write it: "RUN@STEP", RUN as FindRun takes it.
struct StepName {
  std::string run;
  int step = 0;
};

// Nothing: the name is of another kind. A name of the Hub with its revision has a slash.
[[nodiscard]] std::optional<StepName> ParseStepName(absl::string_view name);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_STEP_NAME_H_
