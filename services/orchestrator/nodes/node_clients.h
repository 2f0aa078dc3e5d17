#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_CLIENTS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_CLIENTS_H_

// What the orchestrator asks of the other services, without gRPC. Every call blocks, names the peer
// in its errors, and ends with Cancelled soon after `stop` stops. Thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/adapters/peft.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/types.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/wire/publication.h"

namespace mellow::orchestrator {

// Log-probs of token pairs and the weights they are of.
struct PairScores {
  std::vector<std::vector<float>> logprobs;
  AdapterRef adapter;
  // By the value head, of the learner's current weights alone; empty: not said.
  std::vector<std::vector<float>> values = {};
};

struct GenerateCall {
  std::vector<Prompt> prompts;
  RolloutSampling sampling;
  uint64_t seed = 0;
  int64_t adapter_version = 0;
  // nn::SerializeValueHead of the one that values are asked of; empty: none are.
  std::string value_head = {};
};

struct Generation {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  bool finished = false;
  std::vector<float> values = {};  // one per id; empty: not computed
};

struct GenerateAnswer {
  std::vector<Generation> generations;  // one per prompt, in order
  AdapterRef adapter;
};

class PolicyClient {
 public:
  virtual ~PolicyClient() = default;
  [[nodiscard]] virtual absl::StatusOr<GenerateAnswer> Generate(const GenerateCall& call,
                                                                absl::Duration timeout,
                                                                std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<PairScores> ScoreTokens(absl::Span<const TokenPair> pairs,
                                                               int64_t adapter_version,
                                                               std::stop_token stop) = 0;
  // A champion of version 0, whose `files` are empty: there is none anymore.
  [[nodiscard]] virtual absl::Status PublishAdapter(const AdapterRef& ref,
                                                    const adapters::PeftFiles& files,
                                                    wire::Publication as, std::stop_token stop) = 0;
  // As PublishAdapter, but the node gets the files from the policy node at `source`.
  [[nodiscard]] virtual absl::Status FetchAdapter(const AdapterRef& ref, const std::string& source,
                                                  wire::Publication as, std::stop_token stop) = 0;
};

struct TextScore {
  std::vector<float> logits;  // in the order of the answer's labels
  std::vector<float> probabilities;
  float toxicity = 0;
};

struct ScoreAnswer {
  std::vector<TextScore> scores;  // one per text, in order
  std::vector<std::string> labels;
};

class RewardClient {
 public:
  virtual ~RewardClient() = default;
  [[nodiscard]] virtual absl::StatusOr<ScoreAnswer> Score(const std::vector<std::string>& texts,
                                                          absl::Duration timeout,
                                                          std::stop_token stop) = 0;
  // The labels, in the order of the logits.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::string>> Labels(absl::Duration timeout,
                                                                        std::stop_token stop) = 0;
};

// A checkpoint of another run at the learner, to begin at instead of the start adapter.
struct ForkPoint {
  std::string run_id;
  int step = 0;
  int after_step = 0;  // the first step of the fork is the one after this
  double learning_rate_factor = 1;
};

struct OpenCall {
  std::string run_id;
  std::string ppo;  // PpoConfig, serialized
  std::string start_adapter;
  int64_t start_version = 0;  // of a fork: of the weights that it begins with
  std::optional<ForkPoint> fork = {};
  int keep_checkpoints = 0;  // at least; 0: as the learner's flag says
};

struct OpenAnswer {
  int last_step = 0;
  AdapterRef adapter;
  ParameterCounts parameters = {};
  std::string value_head = {};    // of these weights, as GenerateCall's; empty: not said
  std::string adapter_path = {};  // PEFT folder as the learner sees it
};

struct TrainCall {
  std::string run_id;
  int step = 0;
  std::vector<Rollout> rollouts;  // in prompt order, all scored
  int64_t new_version = 0;
  std::vector<NodeHandle> workers;  // that may help the learner
  std::string sampler_precision;    // of the policies that sampled; empty: the run's
};

struct TrainAnswer {
  AdapterRef adapter;
  std::string adapter_path;  // PEFT folder as the learner sees it
  std::map<std::string, double> stats;
  double seconds = 0;
  bool replayed = false;
  std::string value_head = {};  // as OpenAnswer's
};

struct AdapterAnswer {
  AdapterRef ref;
  adapters::PeftFiles files;
};

class LearnerClient {
 public:
  virtual ~LearnerClient() = default;
  // Whether a run with this PpoConfig (serialized) and start could be opened; what is wrong, named.
  [[nodiscard]] virtual absl::Status Check(const std::string& ppo, const std::string& start_adapter,
                                           std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<OpenAnswer> OpenRun(const OpenCall& call,
                                                           std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<TrainAnswer> Train(const TrainCall& call,
                                                          std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<AdapterAnswer> GetAdapter(const std::string& run_id,
                                                                 int64_t version,
                                                                 std::stop_token stop) = 0;
  // Under the current weights of the open run, or under its reference.
  [[nodiscard]] virtual absl::StatusOr<PairScores> ScoreTokens(const std::string& run_id,
                                                               absl::Span<const TokenPair> pairs,
                                                               bool reference,
                                                               std::stop_token stop) = 0;
};

struct SftCall {
  std::string run_id;
  std::string spec;  // SftSpec, serialized
};

enum class SftState { kRunning, kDone, kStopped, kFailed };

// A supervised run as its learner says it.
struct SftAnswer {
  SftState state = SftState::kRunning;
  std::string error = {};  // why it failed
  // The code of `error`; kOk: not said.
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string run = {};  // SftRun, serialized, without what stands in the record of the run anyway
};

// Called in order by the thread that watches.
struct SftListener {
  // An error ends the watch, which then ends with it.
  std::function<absl::Status(const StepRecord&)> on_step;
  std::function<void(const std::string&)> on_activity;
};

// Supervised fine-tuning at a learner.
class SftClient {
 public:
  virtual ~SftClient() = default;
  // Whether a run of this spec could be started.
  [[nodiscard]] virtual absl::Status Check(const std::string& spec, std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<SftAnswer> Start(const SftCall& call,
                                                        std::stop_token stop) = 0;
  // Every step after `after_step` (-1: from the beginning), then how the run ended.
  [[nodiscard]] virtual absl::StatusOr<SftAnswer> Watch(const std::string& run_id, int after_step,
                                                        const SftListener& listener,
                                                        std::stop_token stop) = 0;
  // After the step in progress, for which it waits.
  [[nodiscard]] virtual absl::StatusOr<SftAnswer> Stop(const std::string& run_id,
                                                       std::stop_token stop) = 0;
};

// Makes clients for nodes. `node_id` is for messages.
class NodeClients {
 public:
  virtual ~NodeClients() = default;
  [[nodiscard]] virtual std::shared_ptr<PolicyClient> Policy(const std::string& node_id,
                                                             const std::string& address) = 0;
  [[nodiscard]] virtual std::shared_ptr<RewardClient> Reward(const std::string& node_id,
                                                             const std::string& address) = 0;
  [[nodiscard]] virtual std::shared_ptr<LearnerClient> Learner(const std::string& node_id,
                                                               const std::string& address) = 0;
  [[nodiscard]] virtual std::shared_ptr<SftClient> Sft(const std::string& node_id,
                                                       const std::string& address) = 0;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_NODE_CLIENTS_H_
