// mellow train and its other name, mellow sft: starts a run (or attaches to one), follows it over
// crashes of anything, and shows its steps.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/weights/hub_cache.h"
#include "common/rpc/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/request_id.h"
#include "services/cli/cluster/run_names.h"
#include "services/cli/files/run_data.h"
#include "services/cli/files/run_file.h"
#include "services/cli/files/spec_message.h"
#include "services/cli/files/started_run.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/histogram.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/train/next_steps.h"
#include "services/cli/train/run_follower.h"
#include "services/cli/train/train_view.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

struct TrainOptions {
  std::string run_file;
  std::string dir = ".mellow";
  std::vector<std::string> overrides;
  bool json = false;
  bool resume = false;
  bool detach = false;
  std::string from;
};

using LoadFile = absl::StatusOr<v1::RunSpec>(const std::string& path,
                                             const std::vector<std::string>& overrides);

// A name of the command: how it is spelled, and which files it reads.
struct TrainName {
  const char* name;
  LoadFile* load;
};

// Starts a run, or finds the one that the same command began.
class Starter {
 public:
  Starter(std::string record_path, StartedRun record, RunFollower* follower)
      : record_path_(std::move(record_path)), record_(std::move(record)), follower_(follower) {}

  absl::StatusOr<v1::Run> Start(bool resume) {
    const absl::StatusOr<StartedRun> previous = ReadStartedRun(record_path_);
    MELLOW_RETURN_IF_ERROR(WriteStartedRun(record_path_, record_));
    follower_->view()->ShowActivity("starting the run");
    const absl::StatusOr<std::string> run_id = follower_->Retry<std::string>(
        [this](OrchestratorClient& c) { return c.StartRun(record_.spec, record_.request_id); });
    if (!run_id.ok()) {
      follower_->view()->ShowActivity("");
      // A request that was refused must not hide the run before it from --resume.
      if (previous.ok() && !rpc::IsRetryable(run_id.status()))
        MELLOW_RETURN_IF_ERROR(WriteStartedRun(record_path_, *previous));
      return run_id.status();
    }
    MELLOW_ASSIGN_OR_RETURN(v1::Run run, follower_->Retry<v1::Run>([&](OrchestratorClient& c) {
      return c.GetRun(*run_id);
    }));
    if (resume && (run.state() == v1::RUN_STATE_STOPPED || run.state() == v1::RUN_STATE_FAILED)) {
      MELLOW_ASSIGN_OR_RETURN(run, follower_->Retry<v1::Run>([&](OrchestratorClient& c) {
        return c.ResumeRun(*run_id);
      }));
    }
    // What the record says of a ledger that somebody deleted is void.
    record_.reported_step = std::min(record_.reported_step, run.committed_steps());
    return run;
  }
  int reported_step() const { return record_.reported_step; }
  absl::Status Report(int step) {
    record_.reported_step = step;
    return WriteStartedRun(record_path_, record_);
  }

 private:
  const std::string record_path_;
  StartedRun record_;
  RunFollower* const follower_;
};

// The data lie where the orchestrator reads them, which need not be this machine. Of a supervised
// run the learner says what it has read.
void ShowData(const v1::RunSpec& spec, TrainView* view) {
  if (spec.has_sft()) return;
  const absl::StatusOr<RunData> data = ReadRunData(spec, /*tokenizer=*/nullptr);
  if (!data.ok()) {
    view->ShowData(
        absl::StrCat("the data cannot be shown: ", PrintableLine(data.status().message()), "\n"));
    return;
  }
  const int width = TerminalWidth(STDOUT_FILENO);
  view->ShowData(absl::StrCat(RunRowsText(*data, width), RunExampleText(*data, width)));
}

// Makes the run start from a kept adapter, or from a folder as the learner sees it, which brings
// its own shape. Returns what to do when the learner refuses it; may be empty.
absl::StatusOr<std::string> StartFrom(const std::string& from, const std::string& folder,
                                      v1::RunSpec* spec) {
  std::string path = from;
  std::string remedy;
  if (const std::optional<StepName> step = ParseStepName(from)) {
    MELLOW_ASSIGN_OR_RETURN(const auto orchestrator, ConnectOrchestrator(folder));
    MELLOW_ASSIGN_OR_RETURN(const KeptAdapters kept, ListKept(orchestrator.get()));
    MELLOW_ASSIGN_OR_RETURN(const v1::KeptAdapter adapter, FindKept(kept, *step));
    path = adapter.learner_path();
    std::error_code ignored;
    // On one machine the learner can read the orchestrator's copy as well.
    if (!Connected() && !std::filesystem::is_directory(path, ignored)) path = adapter.path();
    remedy = absl::StrCat("; of ", from, " the orchestrator has a copy in ", adapter.path(),
                          ": put it where the learner can read it, and give --from that folder");
    if (path.empty())
      return absl::FailedPreconditionError(
          absl::StrCat("--from ", from, ": is what that run started from; start from the same"));
  } else {
    MELLOW_ASSIGN_OR_RETURN(path, nn::FindFolder(from));
    path = CanonicalFolder(path);
  }
  if (spec->has_sft()) {
    spec->mutable_sft()->set_start_adapter(path);
    spec->mutable_sft()->clear_lora();
  } else {
    spec->set_start_adapter(path);
    if (spec->has_ppo()) spec->mutable_ppo()->clear_lora();
  }
  return remedy;
}

std::string ResumeCommand(const TrainName& name, const TrainOptions& options) {
  std::vector<std::string> words = {name.name, options.run_file, "--dir", options.dir};
  for (const std::string& assignment : options.overrides)
    words.insert(words.end(), {"--set", assignment});
  if (options.json) words.emplace_back("--json");
  words.emplace_back("--resume");
  return CommandLine(words);
}

// The last record of the folder, when it has these settings; else `fresh`.
absl::StatusOr<StartedRun> RecordToResume(const std::string& folder, StartedRun fresh) {
  absl::StatusOr<StartedRun> old = ReadStartedRun(StartedRunPath(folder, fresh.spec));
  if (absl::IsNotFound(old.status())) return fresh;
  MELLOW_RETURN_IF_ERROR(old.status());
  const std::string difference = SpecDifference(old->spec, fresh.spec);
  if (difference.empty()) return old;
  return absl::FailedPreconditionError(
      absl::StrCat("--resume: the last run in ", folder, " had other settings (", difference,
                   "); give the same ones, or train without --resume"));
}

absl::StatusOr<int> Train(const TrainName& name, const TrainOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(v1::RunSpec spec, name.load(options.run_file, options.overrides));
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_RETURN_IF_ERROR(FindCluster(folder).status());
  MELLOW_RETURN_IF_ERROR(MakeFolders(folder));  // not made by `mellow up` where it is --connect
  RunFollower follower(folder, options.dir);
  follower.set_view(MakeTrainView(spec, stdout, options.json, isatty(STDOUT_FILENO) != 0));
  std::string remedy;
  if (!options.from.empty()) {
    MELLOW_ASSIGN_OR_RETURN(remedy, StartFrom(options.from, folder, &spec));
  }
  StartedRun record = {.request_id = NewRequestId(), .spec = spec};
  if (options.resume) {
    MELLOW_ASSIGN_OR_RETURN(record, RecordToResume(folder, std::move(record)));
  }
  Starter starter(StartedRunPath(folder, spec), std::move(record), &follower);
  const absl::StatusOr<v1::Run> started = starter.Start(options.resume);
  if (!started.ok() && absl::StrContains(started.status().message(), "start_adapter"))
    return absl::Status(started.status().code(), absl::StrCat(started.status().message(), remedy));
  MELLOW_RETURN_IF_ERROR(started.status());
  const v1::Run& run = *started;
  follower.view()->ShowActivity("");
  std::fprintf(stderr, "mellow: run %s; from elsewhere, or if this ends: %s\n",
               run.run_id().c_str(),
               CommandLine({"watch", run.run_id(), "--dir", options.dir}).c_str());
  WarnOfMissingJudge(spec, folder);
  if (options.detach) return 0;
  ShowData(spec, follower.view());
  return follower.Follow(
      run, starter.reported_step(),
      // The adapter that --from names may be another one by then.
      {.go_on = options.from.empty() ? ResumeCommand(name, options)
                                     : CommandLine({"resume", run.run_id(), "--dir", options.dir}),
       .evaluation_file = EvaluationFileOf(options.run_file),
       .stops = true,
       .on_shown = [&](int step) { return starter.Report(step); },
       .on_done =
           [&](const v1::Run& done) {
             if (!options.json)
               std::fputs(NextSteps(done, options.run_file, options.dir).c_str(), stdout);
           }});
}

CLI::App* AddCommand(CLI::App* app, Action* chosen, const TrainName& name, const char* what,
                     const char* example_of_set) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* sub = app->add_subcommand(name.name, what);
  sub->add_option("RUN.json", options->run_file, "Run file (deploy/runs/README.md)")->required();
  sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
  sub->add_option("--set", options->overrides,
                  absl::StrCat("Override a field of the run file: ", example_of_set,
                               " (paths: relative to this folder; FIELD= clears any field)"))
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  sub->add_option("--from", options->from,
                  "Adapter to start from, instead of start_adapter and lora: RUN@STEP (`mellow "
                  "adapters` shows them), or a PEFT folder");
  sub->add_flag("--json", options->json, "One JSON object per step instead of a table");
  sub->add_flag("--detach", options->detach,
                "End when the run has begun, and leave it to the cluster");
  sub->add_flag("--resume", options->resume,
                "Go on with the run that the same command began; steps that it has shown are not "
                "shown again");
  sub->callback([=] { *chosen = [=] { return Train(name, *options); }; });
  return sub;
}

}  // namespace

void AddTrainCommand(CLI::App* app, Action* chosen) {
  AddCommand(app, chosen, {"train", LoadRunFile},
             "Train an adapter as a run file says, by PPO or supervised; ends with 0 when every "
             "step is committed",
             "--set steps=3 --set ppo.learning_rate=1e-4")
      ->footer(
          "Ctrl-C stops the run after the phase in progress; a second one leaves at once, and it "
          "stops all the same. If this command is killed, the run goes on in the cluster: `mellow "
          "watch` shows it again. `mellow resume`, or --resume, goes on with one that was "
          "stopped.\n"
          "Examples:\n  mellow train deploy/runs/mini.json\n  mellow train deploy/runs/mini.json "
          "--set steps=3 --set seed=7 --json\n"
          "  mellow train deploy/runs/mini.json --resume\n"
          "  mellow train deploy/runs/mini.json --from newest@1 --set ppo.init_kl_coef=0.4");
  AddCommand(app, chosen, {"sft", LoadSftRunFile},
             "Train an adapter on dialogue/summary pairs (supervised): as `train`, also for a file "
             "that has the settings of this method alone",
             "--set epochs=1 --set optimizer.learning_rate=1e-4")
      ->footer(
          "Ctrl-C stops the run after the step in progress. If this command is killed, the run "
          "goes on; if the learner is, it goes on from its newest checkpoint and ends with the "
          "same adapter. --resume goes on in every case.\n"
          "Examples:\n  mellow sft deploy/runs/mini-sft.json\n  mellow sft "
          "deploy/runs/mini-sft.json --set epochs= --set max_steps=20 --json\n"
          "  mellow train deploy/runs/mini.json --set start_adapter=ADAPTER --set ppo.lora=");
}

}  // namespace mellow::cli
