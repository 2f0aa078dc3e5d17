// mellow: every job a person does with a cluster. `mellow --help` lists the commands.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_replace.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/histogram.h"
#include "services/cli/terminal/printable.h"
#include "services/wire/client_security.h"
#include "services/wire/help_text.h"
#include "services/wire/parse_error.h"
#include "services/wire/process_flags.h"
#include "services/wire/tls_flags.h"

namespace cli = mellow::cli;

namespace {

using mellow::cli::kErrorExitCode;
using mellow::cli::kUsageExitCode;

mellow::cli::Environment ReadEnvironment() {
  mellow::cli::Environment environment;
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  if (n > 0) environment.executable.assign(path, static_cast<size_t>(n));
  if (const char* home = std::getenv("MELLOW_HOME"); home != nullptr) environment.home = home;
  return environment;
}

int Fail(const std::string& message, int code) {
  std::fprintf(stderr, "mellow: %s\n",
               mellow::cli::PrintableLine(absl::StrReplaceAll(message, {{"\n", "; "}})).c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Mellow fine-tunes a dialogue summarizer to be less toxic, and serves it.",
               "mellow");
  mellow::wire::WrapHelp(&app, mellow::cli::TerminalWidth(STDOUT_FILENO));
  app.require_subcommand(1);
  app.set_version_flag("--version", MELLOW_VERSION);
  app.failure_message(CLI::FailureMessage::simple);
  mellow::cli::ProgramFlags flags;
  mellow::cli::AddProgramFlags(&app, &flags);
  mellow::wire::ClientFlags security;
  mellow::wire::AddTlsFlags(&app, &security.files);
  mellow::wire::AddTokenFileFlag(&app, &security.token_file);
  mellow::cli::Action chosen;
  mellow::cli::AddClusterCommands(&app, ReadEnvironment(), &chosen);
  for (const auto add :
       {cli::AddStatusCommands, cli::AddAdapterCommands, cli::AddLogCommands, cli::AddTrainCommand,
        cli::AddRunCommands, cli::AddPromoteCommands, cli::AddUseCommands, cli::AddDataCommands,
        cli::AddEvaluateCommand, cli::AddReportCommand, cli::AddReviewCommand, cli::AddTextCommands,
        cli::AddProbeCommands, cli::AddBenchCommands, cli::AddCompletionCommand})
    add(&app, &chosen);
  try {
    mellow::wire::ParseArguments(&app, argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return Fail(mellow::wire::ExplainParseError(app, error), kUsageExitCode);
  }
  if (flags.check_syntax) return 0;
  const std::string command = app.get_subcommands().front()->get_name();
  mellow::cli::SetInvocation({argv, std::find(argv, argv + argc, command)}, flags.invocation);
  if (security.on() && (app.got_subcommand("up") || app.got_subcommand("supervise"))) {
    return Fail("--tls-ca " + security.files.ca +
                    ": `mellow up` starts a cluster without TLS, which only this machine reaches; "
                    "unset MELLOW_TLS_CERT, MELLOW_TLS_KEY and MELLOW_TLS_CA",
                kUsageExitCode);
  }
  absl::Status ready =
      flags.connect.empty() ? absl::OkStatus() : mellow::cli::ConnectTo(flags.connect);
  if (ready.ok()) ready = mellow::wire::UseClientSecurity(security);
  if (!ready.ok()) return Fail(std::string(ready.message()), kUsageExitCode);
  const absl::StatusOr<int> code = chosen();
  return code.ok() ? *code : Fail(std::string(code.status().message()), kErrorExitCode);
}
