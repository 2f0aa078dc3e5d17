// mellow runs, watch, stop and resume: every run of a cluster, whoever started it.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/run_names.h"
#include "services/cli/cluster/run_view.h"
#include "services/cli/files/started_run.h"
#include "services/cli/terminal/command.h"
#include "services/cli/train/run_follower.h"
#include "services/cli/train/train_view.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

struct RunOptions {
  std::string run = kNewestRun;
  std::string dir = ".mellow";
  bool json = false;
  bool detach = false;
};

bool IsRunning(const v1::Run& run) { return run.state() == v1::RUN_STATE_RUNNING; }
bool CanGoOn(const v1::Run& run) {
  return run.state() == v1::RUN_STATE_STOPPED || run.state() == v1::RUN_STATE_FAILED;
}

absl::StatusOr<v1::Run> Find(const RunOptions& options,
                             const std::function<bool(const v1::Run&)>& prefer) {
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator,
                          ConnectOrchestrator(CanonicalFolder(options.dir)));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, orchestrator->ListRuns());
  return FindRun(runs, options.run, prefer);
}

absl::StatusOr<int> Runs(const RunOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator,
                          ConnectOrchestrator(CanonicalFolder(options.dir)));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<v1::Run> runs, orchestrator->ListRuns());
  if (options.json) {
    json::Value list = json::Value::MakeArray();
    for (const v1::Run& run : runs) list.Append(RunJson(run));
    std::printf("%s\n", json::Write(list).c_str());
  } else {
    std::fputs(RunsText(runs, options.dir).c_str(), stdout);
  }
  return 0;
}

FollowPlan PlanOf(const RunOptions& options, const v1::Run& run, bool stops) {
  return {.go_on = CommandLine({"resume", run.run_id(), "--dir", options.dir}), .stops = stops};
}

std::unique_ptr<TrainView> ViewOf(const RunOptions& options, const v1::Run& run) {
  return MakeTrainView(run.spec(), stdout, options.json, isatty(STDOUT_FILENO) != 0);
}

absl::StatusOr<int> Watch(const RunOptions& options) {
  RunFollower follower(CanonicalFolder(options.dir), options.dir);
  MELLOW_ASSIGN_OR_RETURN(const v1::Run run, Find(options, IsRunning));
  if (!options.json)
    std::fprintf(stderr, "mellow: run %s (%s)\n", run.run_id().c_str(), run.spec().name().c_str());
  follower.set_view(ViewOf(options, run));
  return follower.Follow(run, kNothingReported, PlanOf(options, run, /*stops=*/false));
}

absl::StatusOr<int> Stop(const RunOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const v1::Run found, Find(options, IsRunning));
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator,
                          ConnectOrchestrator(CanonicalFolder(options.dir)));
  MELLOW_ASSIGN_OR_RETURN(const v1::Run run,
                          StopRun(orchestrator.get(), found.run_id(), /*wait=*/!options.detach));
  if (options.json) {
    std::printf("%s\n", json::Write(RunJson(run)).c_str());
    return 0;
  }
  const std::string where = absl::StrCat("run ", run.run_id(), " ");
  if (IsRunning(run)) {
    std::printf("%sstops after the phase in progress\n", where.c_str());
  } else if (run.state() == v1::RUN_STATE_STOPPED) {
    std::printf("%sis stopped after step %d of %d; go on with: %s\n", where.c_str(),
                run.committed_steps(), run.total_steps(),
                CommandLine({"resume", run.run_id(), "--dir", options.dir}).c_str());
  } else {
    // It ended by itself before it could stop.
    std::printf("%sis %s\n", where.c_str(), StateName(run).c_str());
  }
  return 0;
}

absl::StatusOr<int> Resume(const RunOptions& options) {
  RunFollower follower(CanonicalFolder(options.dir), options.dir);
  MELLOW_ASSIGN_OR_RETURN(const v1::Run found, Find(options, CanGoOn));
  follower.set_view(ViewOf(options, found));
  MELLOW_ASSIGN_OR_RETURN(const v1::Run run, follower.Retry<v1::Run>([&](OrchestratorClient& c) {
    return c.ResumeRun(found.run_id());
  }));
  follower.view()->ShowActivity("");
  std::fprintf(stderr,
               "mellow: run %s goes on after step %d; from elsewhere, or if this ends: %s\n",
               run.run_id().c_str(), run.committed_steps(),
               CommandLine({"watch", run.run_id(), "--dir", options.dir}).c_str());
  WarnOfMissingJudge(run.spec(), CanonicalFolder(options.dir));
  if (options.detach) return 0;
  // A supervised run that committed nothing still has step 0 to come.
  return follower.Follow(run, run.has_last_step() ? run.committed_steps() : kNothingReported,
                         PlanOf(options, run, /*stops=*/true));
}

struct RunCommand {
  const char* name;
  const char* what;
  const char* footer;
  absl::StatusOr<int> (*run)(const RunOptions&);
  const char* newest;  // which run is meant without one
  const char* json;
  const char* detach;  // null: has no such flag
};

constexpr char kRunHelp[] = "An id, its beginning, a name, or newest: ";

}  // namespace

void AddRunCommands(CLI::App* app, Action* chosen) {
  const RunCommand commands[] = {
      {"runs", "Show every run: method, state, steps, last score and KL, dates, and why it failed",
       "SCORE and KL are of the last committed step.\n"
       "Examples:\n  mellow runs\n  mellow runs --json | python3 -m json.tool",
       Runs, nullptr, "One JSON array instead of a table", nullptr},
      {"watch",
       "Attach to a run: its steps from the first on, then those to come, as `train` shows them",
       "Ctrl-C ends the watching; the run goes on. Exit code 1 when the run failed or was "
       "stopped.\n"
       "Examples:\n  mellow watch\n  mellow watch newest --json",
       Watch, "the newest that is running, else the newest",
       "One JSON object per step instead of a table", nullptr},
      {"stop",
       "Stop a run after the phase in progress; its steps stay, and `mellow resume` goes on",
       "Examples:\n  mellow stop\n  mellow stop newest --detach", Stop,
       "the newest that is running", "One JSON object instead of a line",
       "Do not wait until it has stopped"},
      {"resume",
       "Go on with a run that was stopped, interrupted or failed, from its last committed step",
       "Ctrl-C stops it again.\n"
       "Examples:\n  mellow resume\n  mellow resume newest --detach",
       Resume, "the newest that was stopped or failed",
       "One JSON object per step instead of a table",
       "End when the run goes on, and leave it to the cluster"}};
  for (const RunCommand& command : commands) {
    auto options = std::make_shared<RunOptions>();
    CLI::App* sub = app->add_subcommand(command.name, command.what);
    if (command.newest != nullptr)
      sub->add_option("RUN", options->run, absl::StrCat(kRunHelp, command.newest))
          ->type_name("newest|RUN")
          ->capture_default_str();
    sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
    sub->add_flag("--json", options->json, command.json);
    if (command.detach != nullptr) sub->add_flag("--detach", options->detach, command.detach);
    sub->footer(command.footer);
    sub->callback([=, run = command.run] { *chosen = [=] { return run(*options); }; });
  }
}

}  // namespace mellow::cli
