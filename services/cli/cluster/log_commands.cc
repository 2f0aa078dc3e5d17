// mellow logs: what the services of a `mellow up` cluster say.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/log_view.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/interrupts.h"

namespace mellow::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPoll = absl::Milliseconds(200);

struct LogOptions {
  std::string service;
  std::string dir = ".mellow";
  int lines = 100;
  bool follow = false;
  bool json = false;
};

// The log files of a folder by service: also those of a cluster that is down.
std::map<std::string, std::string> LogFiles(const std::string& folder) {
  std::map<std::string, std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(folder + "/logs", error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".log") files[it->path().stem().string()] = it->path().string();
  }
  return files;
}

void Print(const std::vector<LogLine>& lines, bool json) {
  for (const LogLine& line : lines)
    std::printf("%s\n", json ? line.text.c_str() : LogText(line).c_str());
  std::fflush(stdout);
}

absl::StatusOr<int> Logs(const LogOptions& options) {
  if (Connected())
    return absl::FailedPreconditionError(
        "logs: only of a cluster that `mellow up` started; those of others are where they run "
        "(docker compose logs, kubectl logs)");
  const std::string folder = CanonicalFolder(options.dir);
  const std::map<std::string, std::string> files = LogFiles(folder);
  if (files.empty())
    return absl::NotFoundError(absl::StrCat("no logs in ", folder,
                                            ": no cluster has run there (`mellow up --dir ", folder,
                                            "` starts one)"));
  std::vector<LogReader> readers;
  std::string names;
  for (const auto& [service, path] : files) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", service);
    // "policy" means every policy.
    if (options.service.empty() || service == options.service ||
        absl::StartsWith(service, options.service + "-"))
      readers.emplace_back(path, service);
  }
  if (readers.empty())
    return absl::NotFoundError(
        absl::StrCat("SERVICE ", options.service, ": no such log; there are ", names));
  Interrupts interrupts([] {});
  while (true) {
    std::vector<std::vector<LogLine>> read;
    for (LogReader& reader : readers) {
      MELLOW_ASSIGN_OR_RETURN(read.emplace_back(),
                              reader.Read(options.lines == 0 ? -1 : options.lines));
    }
    std::vector<LogLine> lines = MergeByTime(std::move(read));
    Print(lines, options.json);
    if (!options.follow) return 0;
    if (interrupts.WaitFor(kPoll)) return kInterruptedExitCode;
  }
}

}  // namespace

void AddLogCommands(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* sub = app->add_subcommand(
      "logs", "Show what the services of a cluster that `mellow up` started have logged");
  sub->add_option("SERVICE", options->service,
                  "policy: every policy server, policy-0: that one [all services, by time]")
      ->type_name("policy|reward|learner|orchestrator|supervisor");
  sub->add_option("--dir", options->dir, "Folder of the cluster; it may be down")
      ->capture_default_str();
  sub->add_option("--lines", options->lines, "Last lines of each service; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 24));
  sub->add_flag("--follow", options->follow, "Go on with what comes, until Ctrl-C");
  sub->add_flag("--json", options->json, "The lines as they are in the files, JSON objects");
  sub->footer(
      "Examples:\n  mellow logs\n  mellow logs orchestrator --lines 20\n  mellow logs policy "
      "--json");
  sub->callback([=] { *chosen = [=] { return Logs(*options); }; });
}

}  // namespace mellow::cli
