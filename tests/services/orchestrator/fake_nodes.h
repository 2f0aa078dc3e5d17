#ifndef MELLOW_TESTS_SERVICES_ORCHESTRATOR_FAKE_NODES_H_
#define MELLOW_TESTS_SERVICES_ORCHESTRATOR_FAKE_NODES_H_

// Nodes without models. Weights are their own hash, and every number follows from it: two runs give
// the same adapter hashes only if they trained on the same rollouts with the same scores.
// Thread-safe.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/sync/mutex.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "tests/services/orchestrator/kill_switch.h"

namespace mellow::orchestrator {

// Log-probs of `target` under the weights with this hash ("" is the base).
std::vector<float> FakeLogProbs(const std::string& sha256, const std::vector<int32_t>& source,
                                const std::vector<int32_t>& target);

// Values of the same tokens by this value head.
std::vector<float> FakeValues(const std::string& sha256, const std::string& value_head,
                              const std::vector<int32_t>& source,
                              const std::vector<int32_t>& target);

// A policy process. Kill loses its adapters and its incarnation.
class FakePolicy {
 public:
  explicit FakePolicy(std::string node_id) : node_id_(std::move(node_id)) {}

  absl::StatusOr<GenerateAnswer> Generate(const GenerateCall& call, std::stop_token stop);
  absl::StatusOr<PairScores> ScoreTokens(absl::Span<const TokenPair> pairs, int64_t version,
                                         std::stop_token stop = {});
  absl::Status PublishAdapter(const AdapterRef& ref, const adapters::PeftFiles& files,
                              wire::Publication as);
  // Version 0: none.
  AdapterRef champion() const;
  // Every adapter that was ever the champion here, in order.
  std::vector<AdapterRef> champions() const;

  NodeReport Report() const;
  void Kill();
  void Restart();

  // Called at the start of Generate without a lock held: a test decides here when, or whether, the
  // node answers.
  std::function<absl::Status(const GenerateCall&, std::stop_token)> on_generate;
  // The same of ScoreTokens: the version.
  std::function<absl::Status(int64_t version, std::stop_token)> on_score_tokens;
  // "The generator silently kept the old weights": says the new version, computes with the old one.
  std::atomic<bool> keeps_old_weights{false};
  std::atomic<int> generated{0};  // prompts
  std::atomic<int> published{0};
  std::atomic<int> references{0};  // publications of a reference
  std::atomic<int> fetched{0};     // from another node
  double tokens_per_second = 100;
  std::string device = "cpu";
  int max_new_tokens = 0;  // that it says; 0: nothing
  int64_t max_message_bytes = 0;
  ModelPin model{"base", "float32"};

 private:
  const std::string node_id_;
  mutable Mutex mutex_;
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  int life_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, std::string> said_ ABSL_GUARDED_BY(mutex_);  // version -> hash
  std::map<int64_t, std::string> real_ ABSL_GUARDED_BY(mutex_);  // version -> weights in use
  AdapterRef champion_ ABSL_GUARDED_BY(mutex_);
  AdapterRef candidate_ ABSL_GUARDED_BY(mutex_);
  AdapterRef reference_ ABSL_GUARDED_BY(mutex_);
  std::vector<AdapterRef> champions_ ABSL_GUARDED_BY(mutex_);
};

class FakeReward {
 public:
  explicit FakeReward(std::string node_id) : node_id_(std::move(node_id)) {}

  absl::StatusOr<ScoreAnswer> Score(const std::vector<std::string>& texts, std::stop_token stop);
  NodeReport Report() const;

  NodeRole role = NodeRole::kReward;
  std::function<absl::Status(const std::vector<std::string>&, std::stop_token)> on_score;
  std::atomic<int> scored{0};  // the canary's texts not counted
  std::string device = "cpu";
  std::string toxic_label = "hate";
  int max_request_items = 0;  // that it says; 0: nothing
  int64_t max_message_bytes = 0;
  // The classifier of the others with its weights negated.
  bool negated = false;
  ModelPin model{"classifier", "float32"};

 private:
  const std::string node_id_;
};

// A learner. Its runs are on disk: Kill loses only which run is open, and of a supervised run the
// steps since its newest checkpoint.
class FakeLearner {
 public:
  static constexpr int kSftSteps = 5;

  absl::Status CheckSft(const std::string& spec);
  absl::StatusOr<SftAnswer> StartSft(const SftCall& call);
  // Trains while it is watched.
  absl::StatusOr<SftAnswer> WatchSft(const std::string& run_id, int after_step,
                                     const SftListener& listener, std::stop_token stop);
  absl::StatusOr<SftAnswer> StopSft(const std::string& run_id);

  // Says no to the start adapter "bad".
  absl::Status CheckRun(const std::string& start_adapter);
  absl::StatusOr<OpenAnswer> OpenRun(const OpenCall& call);
  absl::StatusOr<TrainAnswer> Train(const TrainCall& call, std::stop_token stop = {});
  absl::StatusOr<AdapterAnswer> GetAdapter(const std::string& run_id, int64_t version);
  absl::StatusOr<PairScores> ScoreTokens(const std::string& run_id,
                                         absl::Span<const TokenPair> pairs, bool reference);
  NodeReport Report() const;
  void Kill();
  void Restart();
  // Its newest checkpoint is damaged: the next OpenRun finds the one before.
  void LoseNewestStep(const std::string& run_id);
  std::vector<std::string> Hashes(const std::string& run_id) const;  // of the recorded steps
  // As the run was opened.
  OpenCall Opened(const std::string& run_id) const;

  std::function<void(const TrainCall&)> on_train;
  // Called before a step is trained, without a lock held: whether, or when, it is.
  std::function<absl::Status(const TrainCall&, std::stop_token)> on_train_until;
  std::atomic<double> stalled_seconds{0};  // that it says
  // The KL that a step's training says; null: 0.5.
  std::function<double(const TrainCall&)> kl;
  // It is of a version that knows of no forks.
  std::atomic<bool> ignores_forks{false};
  // Called before a step is trained, without a lock held.
  std::function<void(int step)> on_sft_step;
  // The run ends as failed with this instead of its next step.
  void FailSft(const absl::Status& why);
  std::atomic<int> sft_trained{0};
  // Said to a spec of this text.
  absl::Status bad_spec = absl::InvalidArgumentError("data.path: no such file");
  std::atomic<int> trained{0};  // steps computed, not replayed
  // Rollouts that came with values, and with log-probs under the reference. Train refuses numbers
  // that are not those of its weights.
  std::atomic<int> given_values{0};
  std::atomic<int> given_references{0};
  int64_t max_message_bytes = 0;  // that it says; 0: nothing
  std::atomic<bool> other_model{false};
  std::atomic<bool> wrong_reference{false};
  ModelPin model{"base", "float32"};

 private:
  struct Run {
    OpenCall open;
    std::vector<AdapterRef> adapters;  // [0]: the start
    AdapterRef reference;
    [[nodiscard]] int last_step() const {
      return static_cast<int>(adapters.size()) - 1 + (open.fork ? open.fork->after_step : 0);
    }
    // The adapter of its start or of a step.
    [[nodiscard]] const AdapterRef& After(int step) const {
      return adapters.at(adapters.size() - 1 - static_cast<size_t>(last_step() - step));
    }
  };
  // What is wrong with the numbers that a rollout came with.
  static absl::Status CheckNumbers(const Run& run, const Rollout& rollout);
  struct SftRun {
    std::string spec;
    SftState state = SftState::kRunning;
    int step = -1;   // done; step 0 is the first dev loss
    int saved = -1;  // in the newest checkpoint
    absl::Status failed = absl::OkStatus();
  };
  static SftAnswer AnswerOf(const SftRun& run);
  absl::StatusOr<SftRun*> OpenedSft(const std::string& run_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Run*> OpenedRun(const std::string& run_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  bool down_ ABSL_GUARDED_BY(mutex_) = false;
  int life_ ABSL_GUARDED_BY(mutex_) = 1;
  std::string opened_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Run> runs_ ABSL_GUARDED_BY(mutex_);
  std::string opened_sft_ ABSL_GUARDED_BY(mutex_);
  absl::Status fail_sft_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, SftRun> sft_runs_ ABSL_GUARDED_BY(mutex_);
};

// The nodes of a cluster behind NodeClients, each under its name as the address.
struct FakeCluster {
  FakeCluster(int policies, int rewards);

  // A process that talks to these nodes through a kill switch.
  std::unique_ptr<NodeClients> Connect(KillSwitch* kill);
  // As their heartbeats would.
  void RegisterAll(NodeRegistry* registry) const;

  // Called before each call with its name ("policy.Generate"; "reward.Canary", "judge.Canary" for
  // the canary's texts), without a lock held: an error is what the caller gets instead.
  std::function<absl::Status(const std::string& name)> on_call;
  std::vector<std::unique_ptr<FakePolicy>> policies;
  std::vector<std::unique_ptr<FakeReward>> rewards;
  FakeLearner learner;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_TESTS_SERVICES_ORCHESTRATOR_FAKE_NODES_H_
