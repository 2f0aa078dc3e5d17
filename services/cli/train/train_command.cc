// mellow train and its other name, mellow sft: starts a run (or attaches to one), follows it over
// crashes of anything, and shows its steps.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/request_id.h"
#include "services/cli/files/run_data.h"
#include "services/cli/files/run_file.h"
#include "services/cli/files/run_record.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/histogram.h"
#include "services/cli/terminal/interrupts.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"
#include "services/cli/train/train_view.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

// An orchestrator that does not answer for that long is not coming back by itself.
constexpr absl::Duration kPatience = absl::Minutes(3);
constexpr absl::Duration kRetryPause = absl::Milliseconds(300);
constexpr int kInterruptedExitCode = 130;

struct TrainOptions {
  std::string run_file;
  std::string dir = ".mellow";
  std::vector<std::string> overrides;
  bool json = false;
  bool resume = false;
};

using LoadFile = absl::StatusOr<v1::RunSpec>(const std::string& path,
                                             const std::vector<std::string>& overrides);

// A name of the command: how it is spelled, and which files it reads.
struct TrainName {
  const char* name;
  LoadFile* load;
};

class Training {
 public:
  Training(std::string folder, std::string command, RunRecord record,
           std::unique_ptr<TrainView> view)
      : folder_(std::move(folder)),
        record_path_(RunRecordPath(folder_, record.spec)),
        command_(std::move(command)),
        record_(std::move(record)),
        view_(std::move(view)),
        interrupts_([this] { OnInterrupt(); }) {}

  absl::StatusOr<int> Follow(bool resume) {
    MELLOW_ASSIGN_OR_RETURN(const v1::Run started, Start(resume));
    run_id_ = started.run_id();
    ShowData();
    // What the record says of a ledger that somebody deleted is void.
    record_.reported_step = std::min(record_.reported_step, started.committed_steps());
    v1::Run run = started;
    while (!interrupts_.interrupted() && (run.state() == v1::RUN_STATE_RUNNING || !ended_)) {
      MELLOW_ASSIGN_OR_RETURN(run, WatchOnce());
    }
    return run.state() == v1::RUN_STATE_RUNNING ? Stop() : Finish(run);
  }

 private:
  void OnInterrupt() {
    MutexLock lock(&mutex_);
    if (client_ != nullptr) client_->CancelWatch();
  }

  // The orchestrator at the address that cluster.json gives now: a restart may have moved it.
  absl::StatusOr<std::shared_ptr<OrchestratorClient>> Connect() {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> found,
                            ServicesOfRole(folder_, "orchestrator"));
    MutexLock lock(&mutex_);
    if (client_ == nullptr || client_->address() != found[0].address)
      client_ = std::make_shared<OrchestratorClient>(found[0].address);
    if (interrupts_.interrupted()) client_->CancelWatch();
    return client_;
  }

  // Calls until it gives an answer that another try would not change, for kPatience at most.
  template <typename Result>
  absl::StatusOr<Result> Retry(
      const std::function<absl::StatusOr<Result>(OrchestratorClient&)>& call) {
    const SteadyTime deadline = SteadyTime::Now() + kPatience;
    while (true) {
      MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<OrchestratorClient> client, Connect());
      absl::StatusOr<Result> result = call(*client);
      if (result.ok() || !rpc::IsRetryable(result.status()) || SteadyTime::Now() > deadline)
        return result;
      view_->ShowActivity("waiting for the orchestrator");
      if (interrupts_.WaitFor(kRetryPause)) return absl::CancelledError("interrupted");
    }
  }

  absl::StatusOr<v1::Run> Start(bool resume) {
    const absl::StatusOr<RunRecord> previous = ReadRunRecord(record_path_);
    MELLOW_RETURN_IF_ERROR(WriteRunRecord(record_path_, record_));
    view_->ShowActivity("starting the run");
    const absl::StatusOr<std::string> run_id = Retry<std::string>(
        [this](OrchestratorClient& c) { return c.StartRun(record_.spec, record_.request_id); });
    if (!run_id.ok()) {
      view_->ShowActivity("");
      // A request that was refused must not hide the run before it from --resume.
      if (previous.ok() && !rpc::IsRetryable(run_id.status()))
        MELLOW_RETURN_IF_ERROR(WriteRunRecord(record_path_, *previous));
      return run_id.status();
    }
    MELLOW_ASSIGN_OR_RETURN(
        v1::Run run, Retry<v1::Run>([&](OrchestratorClient& c) { return c.GetRun(*run_id); }));
    if (resume && (run.state() == v1::RUN_STATE_STOPPED || run.state() == v1::RUN_STATE_FAILED)) {
      MELLOW_ASSIGN_OR_RETURN(
          run, Retry<v1::Run>([&](OrchestratorClient& c) { return c.ResumeRun(*run_id); }));
    }
    return run;
  }

  // Follows the stream to its end or break; then the run as it is now.
  absl::StatusOr<v1::Run> WatchOnce() {
    MELLOW_RETURN_IF_ERROR(Watch());
    MELLOW_ASSIGN_OR_RETURN(const v1::Run run, Retry<v1::Run>([this](OrchestratorClient& c) {
                              return c.GetRun(run_id_);
                            }));
    // The stream broke, or nobody drives the run just now (its orchestrator is starting or ending).
    if (run.state() == v1::RUN_STATE_RUNNING && !interrupts_.interrupted()) {
      view_->ShowActivity("waiting for the orchestrator");
      interrupts_.WaitFor(kRetryPause);
    }
    return run;
  }

  // OK: the stream ended or broke, and the run tells which. An error that another try would not
  // change.
  absl::Status Watch() {
    MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<OrchestratorClient> client, Connect());
    absl::Status stored;
    ended_ = false;
    const absl::Status status =
        client->WatchRun(run_id_, record_.reported_step, [&](const v1::WatchRunResponse& event) {
          ShowStart(client.get(), !event.activity().empty());
          if (event.has_step() && event.step().step() > record_.reported_step) {
            view_->ShowStep(event.step());
            record_.reported_step = event.step().step();
            stored.Update(WriteRunRecord(record_path_, record_));
          }
          if (!event.activity().empty()) view_->ShowActivity(event.activity());
          ended_ = event.has_ended();
        });
    MELLOW_RETURN_IF_ERROR(stored);
    if (rpc::IsRetryable(status) || absl::IsCancelled(status)) return absl::OkStatus();
    return status;
  }

  // The learner opens the run some time before the first step.
  void ShowStart(OrchestratorClient* client, bool another_chance) {
    if (start_shown_) return;
    const absl::StatusOr<v1::Run> run = client->GetRun(run_id_);
    const bool opened = run.ok() && run->total_parameters() > 0;
    if (opened) view_->ShowStart(*run);
    start_shown_ = opened || !another_chance;
  }

  // The data lie where the orchestrator reads them, which need not be this machine. Of a supervised
  // run the learner says what it has read.
  void ShowData() {
    if (record_.spec.has_sft()) return;
    const absl::StatusOr<RunData> data = ReadRunData(record_.spec, /*tokenizer=*/nullptr);
    if (!data.ok()) {
      view_->ShowData(
          absl::StrCat("the data cannot be shown: ", PrintableLine(data.status().message()), "\n"));
      return;
    }
    view_->ShowData(absl::StrCat(RunRowsText(record_.spec, *data),
                                 RunExampleText(*data, TerminalWidth(STDOUT_FILENO))));
  }

  absl::StatusOr<int> Stop() {
    view_->ShowActivity("");
    std::fprintf(stderr,
                 "mellow: stopping run %s after the phase in progress (Ctrl-C again: leave at "
                 "once, the run goes on)\n",
                 run_id_.c_str());
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> found,
                            ServicesOfRole(folder_, "orchestrator"));
    OrchestratorClient client(found[0].address);
    MELLOW_ASSIGN_OR_RETURN(v1::Run run, client.StopRun(run_id_));
    // The orchestrator answers at once; what is in progress goes to its end.
    MELLOW_RETURN_IF_ERROR(
        client.WatchRun(run_id_, run.committed_steps(), [&run](const v1::WatchRunResponse& event) {
          if (event.has_ended()) run = event.ended();
        }));
    std::fprintf(stderr, "mellow: stopped after step %d of %d; go on with: %s\n",
                 run.committed_steps(), run.total_steps(), command_.c_str());
    return kInterruptedExitCode;
  }

  absl::StatusOr<int> Finish(const v1::Run& run) {
    view_->ShowActivity("");
    if (run.state() == v1::RUN_STATE_DONE && run.committed_steps() >= run.total_steps()) {
      view_->ShowDone(run);
      return 0;
    }
    const std::string where = absl::StrCat(
        "run ", run.run_id(), " ", run.state() == v1::RUN_STATE_STOPPED ? "was stopped" : "failed",
        " after step ", run.committed_steps(), " of ", run.total_steps());
    return absl::AbortedError(absl::StrCat(where, run.error().empty() ? "" : ": ", run.error(),
                                           "; go on with: ", command_));
  }

  const std::string folder_;
  const std::string record_path_;
  const std::string command_;  // that goes on, for people
  RunRecord record_;
  const std::unique_ptr<TrainView> view_;
  std::string run_id_;
  bool start_shown_ = false;
  bool ended_ = false;  // the last watch saw the run's end
  Mutex mutex_;
  std::shared_ptr<OrchestratorClient> client_ ABSL_GUARDED_BY(mutex_);
  Interrupts interrupts_;  // last: it calls OnInterrupt
};

std::string ResumeCommand(const TrainName& name, const TrainOptions& options) {
  std::string command =
      absl::StrCat("mellow ", name.name, " ", options.run_file, " --dir ", options.dir);
  for (const std::string& assignment : options.overrides)
    absl::StrAppend(&command, " --set ", assignment);
  return absl::StrCat(command, options.json ? " --json" : "", " --resume");
}

absl::StatusOr<int> Train(const TrainName& name, const TrainOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const v1::RunSpec spec, name.load(options.run_file, options.overrides));
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_RETURN_IF_ERROR(FindCluster(folder).status());
  MELLOW_RETURN_IF_ERROR(MakeFolders(folder));  // not made by `mellow up` where it is --connect
  RunRecord record = {.request_id = NewRequestId(), .spec = spec};
  if (options.resume) {
    absl::StatusOr<RunRecord> old = ReadRunRecord(RunRecordPath(folder, spec));
    if (old.ok()) {
      const std::string difference = SpecDifference(old->spec, spec);
      if (!difference.empty()) {
        return absl::FailedPreconditionError(
            absl::StrCat("--resume: the last run in ", folder, " had other settings (", difference,
                         "); give the same ones, or train without --resume"));
      }
      record = *std::move(old);
    } else if (!absl::IsNotFound(old.status())) {
      return old.status();
    }
  }
  auto view = MakeTrainView(spec, stdout, options.json, isatty(STDOUT_FILENO) != 0);
  return Training(folder, ResumeCommand(name, options), std::move(record), std::move(view))
      .Follow(options.resume);
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
  sub->add_flag("--json", options->json, "One JSON object per step instead of a table");
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
          "Ctrl-C stops the run after the phase in progress. If this command is killed, the run "
          "goes on in the cluster. Either way --resume goes on.\n"
          "Examples:\n  mellow train deploy/runs/mini.json\n  mellow train deploy/runs/mini.json "
          "--set steps=3 --set seed=7 --json\n"
          "  mellow train deploy/runs/mini.json --resume");
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
