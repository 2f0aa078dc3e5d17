#ifndef MELLOW_TESTS_SERVICES_ORCHESTRATOR_ORCHESTRATOR_FIXTURE_H_
#define MELLOW_TESTS_SERVICES_ORCHESTRATOR_ORCHESTRATOR_FIXTURE_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"
#include "services/orchestrator/run/run_driver.h"
#include "services/orchestrator/run/sft_driver.h"
#include "tests/services/orchestrator/fake_nodes.h"
#include "tests/services/orchestrator/kill_switch.h"
#include "tests/services/orchestrator/mortal_ledger.h"

namespace mellow::orchestrator {

// One id per byte, three higher, and </s> = 1.
class FakeTokenizer : public text::Tokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text, int max) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c) + 3);
    if (max > 0 && static_cast<int>(ids.size()) > max - 1) ids.resize(max - 1);
    ids.push_back(1);
    return ids;
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids, bool skip) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id >= 3) {
        text += static_cast<char>(id - 3);
      } else if (!skip) {
        text += "</s>";
      }
    }
    return text;
  }
  int vocab_size() const override { return 259; }
};

class FakePromptSource : public PromptSource {
 public:
  absl::StatusOr<Prompt> Draw(uint64_t prompt_index) const override {
    return Prompt{prompt_index, {10 + static_cast<int32_t>(prompt_index % 50), 20, 1}, 6};
  }
};

class RecordingObserver : public RunObserver {
 public:
  void OnActivity(const std::string& activity) override {
    {
      MutexLock lock(&mutex_);
      activities_.push_back(activity);
    }
    changed_.NotifyAll();
  }
  void OnStep(const StepRecord& step) override {
    MutexLock lock(&mutex_);
    steps_.push_back(step);
  }
  void OnOpened(const ParameterCounts&) override {}
  // Waits until an activity contains `text`; the test's own time limit is the deadline.
  void WaitForActivity(const std::string& text) {
    MutexLock lock(&mutex_);
    while (!Contains(text)) changed_.Wait(&mutex_);
  }
  std::vector<StepRecord> steps() {
    MutexLock lock(&mutex_);
    return steps_;
  }

 private:
  bool Contains(const std::string& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const std::string& activity : activities_) {
      if (activity.find(text) != std::string::npos) return true;
    }
    return false;
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> activities_ ABSL_GUARDED_BY(mutex_);
  std::vector<StepRecord> steps_ ABSL_GUARDED_BY(mutex_);
};

// 8 prompts per step in shards of 4.
inline RunConfig MakeRunConfig(int steps) {
  RunConfig config;
  config.steps = steps;
  config.seed = 7;
  config.batch_size = 8;
  config.shard_prompts = 4;
  config.reward.text_template = "{query} {response}";
  return config;
}

// One life of an orchestrator process over a ledger file and a cluster that outlive it.
class Life {
 public:
  Life(FakeCluster* cluster, const std::string& folder)
      : clients_(cluster->Connect(&kill)),
        // The fakes take the hash for the bytes.
        adapters_(folder + "/adapters", [](const adapters::PeftFiles& files) {
          return absl::StatusOr<std::string>(files.safetensors);
        }) {
    absl::StatusOr<std::unique_ptr<SqliteLedger>> opened =
        SqliteLedger::Open(folder + "/ledger.db");
    if (!opened.ok()) {
      ADD_FAILURE() << opened.status();
      return;
    }
    ledger = *std::move(opened);
    mortal_ledger_ = std::make_unique<MortalLedger>(ledger.get(), &kill);
    supervisor_ = std::make_unique<NodeSupervisor>(&registry, clients_.get(), &metrics,
                                                   absl::Milliseconds(1));
    cluster->RegisterAll(&registry);
  }

  DriverParts Parts() {
    return {mortal_ledger_.get(), &registry, clients_.get(), supervisor_.get(),
            &adapters_,           &metrics,  &tokenizer_,    kDefaultCanaryBound};
  }

  // Dies at the call with this number.
  void DieAt(int call, bool after_effect) {
    kill.Arm(call, after_effect, [this] { shutdown.request_stop(); });
  }

  void FillDisk(bool full) { mortal_ledger_->full = full; }

  // Creates the run unless the ledger has it.
  absl::Status Create(const std::string& run_id, Method method = Method::kPpo) {
    if (ledger->GetRun(run_id).ok()) return ledger->SetRunState(run_id, RunState::kRunning, "");
    return ledger->CreateRun({.run_id = run_id, .spec = "spec", .method = method}).status();
  }
  absl::Status DriveSft(const std::string& run_id, const std::string& spec) {
    if (absl::Status status = Create(run_id, Method::kSft); !status.ok()) return status;
    return SftDriver(Parts(), run_id, spec, &observer, {stop.get_token(), shutdown.get_token()})
        .Run();
  }
  absl::Status Drive(const std::string& run_id, const RunConfig& config) {
    if (absl::Status status = Create(run_id); !status.ok()) return status;
    RunDriver driver(Parts(), run_id, config, &prompts_, &observer,
                     {stop.get_token(), shutdown.get_token()});
    return driver.Run();
  }

  KillSwitch kill;
  obs::Metrics registry_of_metrics;
  OrchestratorMetrics metrics{&registry_of_metrics};
  NodeRegistry registry{absl::Hours(1)};
  RecordingObserver observer;
  std::stop_source stop;
  std::stop_source shutdown;
  std::unique_ptr<SqliteLedger> ledger;

 private:
  FakeTokenizer tokenizer_;
  FakePromptSource prompts_;
  std::unique_ptr<NodeClients> clients_;
  AdapterStore adapters_;
  std::unique_ptr<MortalLedger> mortal_ledger_;
  std::unique_ptr<NodeSupervisor> supervisor_;
};

inline std::vector<std::string> HashesOf(Ledger* ledger, const std::string& run_id) {
  std::vector<std::string> hashes;
  const auto steps = ledger->Steps(run_id, 0, kAllSteps);
  if (!steps.ok()) return hashes;
  for (const StepRecord& step : *steps) hashes.push_back(step.adapter.sha256);
  return hashes;
}

}  // namespace mellow::orchestrator

#endif  // MELLOW_TESTS_SERVICES_ORCHESTRATOR_ORCHESTRATOR_FIXTURE_H_
