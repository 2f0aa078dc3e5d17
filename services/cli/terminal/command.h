#ifndef MELLOW_SERVICES_CLI_TERMINAL_COMMAND_H_
#define MELLOW_SERVICES_CLI_TERMINAL_COMMAND_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace CLI {
class App;
}  // namespace CLI

namespace mellow::cli {

// What main() knows about the world; commands read no environment variable themselves.
struct Environment {
  std::string executable;  // absolute path of this program
  std::string home;        // MELLOW_HOME, or empty
};

// What the chosen subcommand does after all flags have been read. The value is the exit code; an
// error becomes one line on standard error and exit code 1.
using Action = std::function<absl::StatusOr<int>()>;

// Exit codes. 0: done. 1: an error, or a filter of JSON lines failed (FilterExitCode). 2: the
// command line is wrong. 3: the gates of a promotion did not hold. 130: interrupted.
inline constexpr int kErrorExitCode = 1;
inline constexpr int kUsageExitCode = 2;
inline constexpr int kGateFailedExitCode = 3;
inline constexpr int kInterruptedExitCode = 130;

// The words before the command as the user wrote them ("build/bin/mellow --connect ..."); "mellow"
// until main has said it. `program`: shell text instead of the first word, as it is, where whoever
// reads cannot run that one ("docker compose run --rm cli"); empty: none. For the whole process; to
// be set before threads start.
void SetInvocation(const std::vector<std::string>& words, const std::string& program = "");
// A command to print for people: run as it stands in the same folder, it is the same program with
// the same flags before the command. Words are quoted where a shell would take them apart.
[[nodiscard]] std::string CommandLine(const std::vector<std::string>& words);

// The flags before the command.
struct ProgramFlags {
  std::string connect;     // ConnectTo; empty: the cluster of a folder
  std::string invocation;  // SetInvocation's program
  bool check_syntax = false;
};
void AddProgramFlags(CLI::App* app, ProgramFlags* flags);

// --strict of a filter of JSON lines.
void AddStrictFlag(CLI::App* sub, bool* strict);

// Each adds its subcommands to `app`. When one of them is on the command line, *chosen is set.
void AddClusterCommands(CLI::App* app, const Environment& environment,
                        Action* chosen);                   // up, down, supervise (hidden)
void AddStatusCommands(CLI::App* app, Action* chosen);     // status
void AddAdapterCommands(CLI::App* app, Action* chosen);    // adapters
void AddLogCommands(CLI::App* app, Action* chosen);        // logs
void AddTrainCommand(CLI::App* app, Action* chosen);       // train, sft
void AddRunCommands(CLI::App* app, Action* chosen);        // runs, watch, stop, resume
void AddPromoteCommands(CLI::App* app, Action* chosen);    // promote, rollback, promotions
void AddUseCommands(CLI::App* app, Action* chosen);        // summarize, score
void AddDataCommands(CLI::App* app, Action* chosen);       // data describe
void AddEvaluateCommand(CLI::App* app, Action* chosen);    // evaluate
void AddReportCommand(CLI::App* app, Action* chosen);      // report
void AddReviewCommand(CLI::App* app, Action* chosen);      // review new, invite, summary, ...
void AddTextCommands(CLI::App* app, Action* chosen);       // tokenize, detokenize, rouge
void AddProbeCommands(CLI::App* app, Action* chosen);      // probe policy, generate, reward, ppo
void AddBenchCommands(CLI::App* app, Action* chosen);      // bench generate, reward, ppo, hardware
void AddCompletionCommand(CLI::App* app, Action* chosen);  // completion bash

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_COMMAND_H_
