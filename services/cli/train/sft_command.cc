// mellow sft: starts supervised fine-tuning in a cluster's learner (or attaches to it), follows it
// over crashes, and shows its steps.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/files/run_record.h"
#include "services/cli/files/sft_file.h"
#include "services/cli/files/spec_message.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/interrupts.h"
#include "services/cli/train/sft_client.h"
#include "services/cli/train/sft_view.h"

namespace mellow::cli {
namespace {

namespace v1 = learner::v1;
using SftRecord = RunRecord<v1::SftSpec>;

// A learner that does not answer for that long is not coming back by itself.
constexpr absl::Duration kPatience = absl::Minutes(3);
constexpr absl::Duration kRetryPause = absl::Milliseconds(300);
constexpr int kInterruptedExitCode = 130;
constexpr int kNothingReported = -1;  // step 0 is the dev loss before training

struct SftOptions {
  std::string run_file;
  std::string dir = ".mellow";
  std::vector<std::string> overrides;
  bool json = false;
  bool resume = false;
};

std::string RecordPath(const std::string& folder) { return absl::StrCat(folder, "/sft.json"); }

class FineTuning {
 public:
  FineTuning(std::string folder, std::string command, SftRecord record,
             std::unique_ptr<SftView> view)
      : folder_(std::move(folder)),
        command_(std::move(command)),
        record_(std::move(record)),
        view_(std::move(view)),
        interrupts_([this] { OnInterrupt(); }) {}

  absl::StatusOr<int> Follow() {
    const absl::StatusOr<SftRecord> previous = ReadRunRecord<v1::SftSpec>(RecordPath(folder_));
    MELLOW_RETURN_IF_ERROR(WriteRunRecord(RecordPath(folder_), record_));
    bool shown = false;
    while (true) {
      absl::StatusOr<v1::SftRun> run = Start();
      if (!run.ok()) {
        // A request that was refused must not hide the run before it from --resume.
        if (!shown && previous.ok() && !rpc::IsRetryable(run.status()))
          MELLOW_RETURN_IF_ERROR(WriteRunRecord(RecordPath(folder_), *previous));
        return run.status();
      }
      if (!std::exchange(shown, true)) view_->ShowStart(*run);
      MELLOW_RETURN_IF_ERROR(WatchUntilItBreaks(&*run));
      if (interrupts_.interrupted()) return Stop();
      if (run->state() != v1::SFT_STATE_RUNNING) return Finish(*run);
      view_->ShowActivity("waiting for the learner");
      interrupts_.WaitFor(kRetryPause);
    }
  }

 private:
  void OnInterrupt() {
    MutexLock lock(&mutex_);
    if (client_ != nullptr) client_->CancelWatch();
  }

  // The learner at the address that cluster.json gives now: a restart may have moved it.
  absl::StatusOr<std::shared_ptr<SftClient>> Connect() {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> found,
                            ServicesOfRole(folder_, "learner"));
    MutexLock lock(&mutex_);
    if (client_ == nullptr || client_->address() != found[0].address)
      client_ = std::make_shared<SftClient>(found[0].address);
    if (interrupts_.interrupted()) client_->CancelWatch();
    return client_;
  }

  // Starts the run, or finds it, or makes a restarted learner go on with it.
  absl::StatusOr<v1::SftRun> Start() {
    const SteadyTime deadline = SteadyTime::Now() + kPatience;
    while (true) {
      MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<SftClient> client, Connect());
      view_->ShowActivity("reading data and weights");
      absl::StatusOr<v1::SftRun> run = client->Start(record_.request_id, record_.spec);
      if (run.ok() || !rpc::IsRetryable(run.status()) || SteadyTime::Now() > deadline) return run;
      view_->ShowActivity("waiting for the learner");
      if (interrupts_.WaitFor(kRetryPause)) return absl::CancelledError("interrupted");
    }
  }

  // Follows the stream to the run's end (*run is then how it ended), or to the stream's.
  absl::Status WatchUntilItBreaks(v1::SftRun* run) {
    MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<SftClient> client, Connect());
    absl::Status stored;
    const absl::Status status = client->Watch(
        record_.request_id, record_.reported_step, [&](const v1::WatchSftResponse& event) {
          // After a crash steps come again, with the same numbers.
          if (event.has_step() && event.step().step() > record_.reported_step) {
            view_->ShowStep(event.step());
            record_.reported_step = event.step().step();
            stored.Update(WriteRunRecord(RecordPath(folder_), record_));
          }
          if (!event.activity().empty()) view_->ShowActivity(event.activity());
          if (event.has_ended()) *run = event.ended();
        });
    MELLOW_RETURN_IF_ERROR(stored);
    const bool another_try =
        rpc::IsRetryable(status) || absl::IsCancelled(status) || absl::IsNotFound(status);
    return another_try ? absl::OkStatus() : status;
  }

  absl::StatusOr<int> Stop() {
    view_->ShowActivity("");
    std::fprintf(stderr,
                 "mellow: stopping run %s after the step in progress (Ctrl-C again: leave at once, "
                 "the run goes on)\n",
                 record_.request_id.c_str());
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> found,
                            ServicesOfRole(folder_, "learner"));
    MELLOW_ASSIGN_OR_RETURN(const v1::SftRun run,
                            SftClient(found[0].address).Stop(record_.request_id));
    std::fprintf(stderr, "mellow: stopped after step %d of %d; go on with: %s\n", run.step(),
                 run.total_steps(), command_.c_str());
    return kInterruptedExitCode;
  }

  absl::StatusOr<int> Finish(const v1::SftRun& run) {
    view_->ShowActivity("");
    if (run.state() == v1::SFT_STATE_DONE) {
      view_->ShowDone(run);
      return 0;
    }
    const std::string where = absl::StrCat(
        "run ", run.run_id(), run.state() == v1::SFT_STATE_STOPPED ? " was stopped" : " failed",
        " after step ", run.step(), " of ", run.total_steps());
    return absl::AbortedError(
        absl::StrCat(where, run.error().empty() ? "" : ": ", run.error(),
                     "; its newest checkpoint stays, go on with: ", command_));
  }

  const std::string folder_;
  const std::string command_;  // that goes on, for people
  SftRecord record_;
  const std::unique_ptr<SftView> view_;
  Mutex mutex_;
  std::shared_ptr<SftClient> client_ ABSL_GUARDED_BY(mutex_);
  Interrupts interrupts_;  // last: it calls OnInterrupt
};

std::string ResumeCommand(const SftOptions& options) {
  std::string command = absl::StrCat("mellow sft ", options.run_file, " --dir ", options.dir);
  for (const std::string& assignment : options.overrides)
    absl::StrAppend(&command, " --set ", assignment);
  return absl::StrCat(command, options.json ? " --json" : "", " --resume");
}

absl::StatusOr<int> Sft(const SftOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const v1::SftSpec spec, LoadSftFile(options.run_file, options.overrides));
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_RETURN_IF_ERROR(FindCluster(folder).status());
  MELLOW_RETURN_IF_ERROR(MakeFolders(folder));  // not made by `mellow up` where it is --connect
  SftRecord record = {
      .request_id = NewSftRunId(spec), .spec = spec, .reported_step = kNothingReported};
  if (options.resume) {
    absl::StatusOr<SftRecord> old = ReadRunRecord<v1::SftSpec>(RecordPath(folder));
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
  auto view =
      options.json ? MakeSftJsonView(stdout) : MakeSftTableView(stdout, isatty(STDOUT_FILENO) != 0);
  return FineTuning(folder, ResumeCommand(options), std::move(record), std::move(view)).Follow();
}

}  // namespace

void AddSftCommand(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<SftOptions>();
  CLI::App* sub = app->add_subcommand(
      "sft", "Train an adapter on dialogue/summary pairs as a run file says (supervised)");
  sub->add_option("RUN.json", options->run_file, "Run file (deploy/runs/README.md)")->required();
  sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
  sub->add_option("--set", options->overrides,
                  "Override a field of the run file: --set epochs=1 --set "
                  "optimizer.learning_rate=1e-4 (paths: relative to this folder)")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  sub->add_flag("--json", options->json, "One JSON object per step instead of a table");
  sub->add_flag("--resume", options->resume,
                "Go on with the run that the same command began; steps that it has shown are not "
                "shown again");
  sub->footer(
      "The cluster's learner trains. Ctrl-C stops the run after the step in progress. If this "
      "command is killed, the run goes on; if the learner is, it goes on from its newest "
      "checkpoint and ends with the same adapter. --resume goes on in every case.\n"
      "Examples:\n  mellow sft deploy/runs/mini-sft.json\n  mellow sft deploy/runs/mini-sft.json "
      "--set max_steps=20 --json\n"
      "  mellow train deploy/runs/mini.json --set start_adapter=ADAPTER --set ppo.lora=");
  sub->callback([=] { *chosen = [=] { return Sft(*options); }; });
}

}  // namespace mellow::cli
