#ifndef MELLOW_SERVICES_CLI_PROBE_PROBE_PPO_COMMAND_H_
#define MELLOW_SERVICES_CLI_PROBE_PROBE_PPO_COMMAND_H_

#include "services/cli/terminal/command.h"

namespace mellow::cli {

void AddProbePpoCommand(CLI::App* probe, Action* chosen);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_PROBE_PROBE_PPO_COMMAND_H_
