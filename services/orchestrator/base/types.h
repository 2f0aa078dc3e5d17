#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_TYPES_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_TYPES_H_

// The orchestrator's own words for what it keeps and moves. Plain values; messages are translated
// into them in proto_convert.cc and in the clients.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mellow::orchestrator {

// Which weights: a version of the cluster and the content hash that goes with it. Version 0 is the
// base model, which every node has; its hash is empty.
struct AdapterRef {
  int64_t version = 0;
  std::string sha256;
  bool operator==(const AdapterRef&) const = default;
};

inline std::string ToString(const AdapterRef& ref) {
  return absl::StrCat(ref.version, " (", ref.sha256.empty() ? "base" : ref.sha256.substr(0, 12),
                      ")");
}

// Versions are addresses, hashes are identity: the same weights may be published again under a
// newer version (a run that is resumed after another one). Version 0 is the base whatever hash a
// peer says.
inline bool SameWeights(const AdapterRef& a, const AdapterRef& b) {
  if (a.version == 0 || b.version == 0) return a.version == b.version;
  return a.sha256 == b.sha256;
}

// Teacher forcing: log-probs of `target_ids` given `source_ids`.
struct TokenPair {
  std::vector<int32_t> source_ids;  // with </s>
  std::vector<int32_t> target_ids;  // without the decoder start token; not empty
};

struct Score {
  float score = 0;     // raw logit of the run's label
  float toxicity = 0;  // probability of the toxic label
};

// One sampled response. Its identity is (run, step, prompt_index).
struct Rollout {
  uint64_t prompt_index = 0;  // draw of the run: (step - 1) * batch_size + position
  std::vector<int32_t> query_ids;
  std::vector<int32_t> response_ids;
  std::vector<float> logprobs;  // of the raw distribution, one per response id
  bool finished = false;        // ended with </s>, not by its length
  AdapterRef adapter;           // the weights that sampled it
  std::optional<Score> score;   // none: not scored yet
  // What the value head whose bytes have this sha256 says of the states that the response ids were
  // chosen from. Empty: the learner computes them.
  std::vector<float> values = {};
  std::string value_head_sha256 = {};
  // Log-probs of the response ids under `reference`, which the KL is measured against. Empty: the
  // learner computes them.
  std::vector<float> reference_logprobs = {};
  AdapterRef reference = {};
};

// One prompt of a step.
struct Prompt {
  uint64_t prompt_index = 0;
  std::vector<int32_t> ids;  // with </s>
  std::optional<int> max_new_tokens;
};

// Counts the parameters of the model that a run trains, PPO's value head included.
struct ParameterCounts {
  int64_t trainable = 0;
  int64_t total = 0;
};

// How a run trains. The ledger keeps the numbers.
enum class Method { kPpo = 1, kSft = 2 };

enum class RunState { kRunning = 1, kStopped = 2, kDone = 3, kFailed = 4 };

// What a run's judge said of a share of a step's rollouts.
struct JudgeFigures {
  double score_mean = 0;
  double score_sd = 0;
  double gap = 0;  // as GuardConfig's judge_gap
};

// A step at which the guard of a run found that its weights are going wrong: the run goes back to
// good ones.
struct GuardTrip {
  int step = 0;
  int good_step = 0;      // whose weights are the good ones; 0: those that the run started from
  AdapterRef good;        // these weights under a version of their own, the newest; no hash: the
                          // learner was not asked yet
  std::string good_path;  // PEFT folder of them as the learner sees it; empty with the hash
  std::string check;      // "max_repetition"
  double value = 0;
  double bound = 0;
  std::string reason;    // for people
  bool goes_on = false;  // somebody resumed the run after it
  bool operator==(const GuardTrip&) const = default;
};

// A committed step, as it is kept, reported and exported. Of a supervised run only the number, the
// seconds and what the learner said.
struct StepRecord {
  int step = 0;
  AdapterRef adapter;
  std::string adapter_path;  // PEFT folder as the learner sees it
  double score_mean = 0;
  double score_sd = 0;  // of the rollouts
  double toxicity_mean = 0;
  double seconds = 0;        // wall, first lease to commit
  int64_t committed_ms = 0;  // since 1970; 0: it is not yet, or was by a version that kept no time
  double response_tokens_mean = 0;
  double repetition_mean = 0;  // as RepeatedNgrams of guard.h
  double tokens_per_second = 0;
  double staleness = 0;                         // versions between sampling and training
  std::map<std::string, double> stats;          // the learner's, by TRL's names
  std::map<std::string, double> phase_seconds;  // as Step.phase_seconds of the proto
  std::string sft;  // learner's SftStep, serialized: this service only passes it on
  std::optional<JudgeFigures> judge;  // none: the run has no judge
  std::optional<GuardTrip> trip;      // then nobody serves the step's adapter

  // A scalar of the learner's, or 0 when it did not report it.
  double Stat(const std::string& name) const {
    const auto it = stats.find(name);
    return it == stats.end() ? 0 : it->second;
  }
};

enum class NodeRole { kPolicy = 1, kReward = 2, kLearner = 3, kLearnerWorker = 4, kJudge = 5 };
enum class NodeState { kReady = 1, kQuarantined = 2, kLost = 3 };

absl::string_view ToString(NodeRole role);
absl::string_view ToString(NodeState state);
absl::string_view ToString(RunState state);

struct NodeCapacity {
  std::string device;
  int threads = 0;
  int64_t max_batch_tokens = 0;
  double tokens_per_second = 0;
  std::string model;
  std::string model_sha256;  // nn::HashModelFolder of what it loaded; empty: it did not say
  std::string precision;     // of its weights: "float32"
  // What one request may have at most; 0: not said.
  int max_request_items = 0;  // prompts, texts
  int max_new_tokens = 0;
  std::string toxic_label;        // of a reward: whose probability is the toxicity
  int64_t max_message_bytes = 0;  // of a request; 0: not said
};

// What a node says about itself with every heartbeat.
struct NodeReport {
  std::string node_id;
  NodeRole role = NodeRole::kPolicy;
  std::string address;
  NodeCapacity capacity;
  std::string incarnation;
  std::vector<AdapterRef> adapters;
  double stalled_seconds = 0;  // > 0: its engine has work and makes no progress
};

// What decides a node's numbers besides its adapter.
struct ModelPin {
  std::string sha256;     // as NodeCapacity::model_sha256
  std::string precision;  // as NodeCapacity::precision
  bool operator==(const ModelPin&) const = default;
};

inline ModelPin PinOf(const NodeReport& report) {
  return {report.capacity.model_sha256, report.capacity.precision};
}

// "3f2a91c04d17 (float32)".
inline std::string ToString(const ModelPin& pin) {
  return absl::StrCat(pin.sha256.empty() ? "a model without a hash" : pin.sha256.substr(0, 12),
                      " (", pin.precision.empty() ? "unknown precision" : pin.precision, ")");
}

// What the first node of a classifier's role said to the canary texts (model_pins.h).
struct ScoreCanary {
  std::vector<std::string> labels;         // in their order
  std::vector<std::vector<float>> logits;  // of each text, in that order
  bool operator==(const ScoreCanary&) const = default;
};

// The models that a run depends on.
struct RunPins {
  std::map<NodeRole, ModelPin> models;
  // Those of the reward and of the judge; none: not asked yet.
  std::map<NodeRole, ScoreCanary> canaries;
  // Whose probability is the toxicity where the run file names no label: what the first reward node
  // said. Empty: it did not say.
  std::string toxic_label = {};
  // Classes ("cpu", "cuda") of the policies and rewards that have worked for the run. They are not
  // held to one: the sums of two have other roundings, which is said (NotRepeatable).
  std::map<NodeRole, std::set<std::string>> devices = {};
  bool operator==(const RunPins&) const = default;
};

// "policy nodes on cpu and cuda": why the same run file would not give the same adapters to the
// bit. Empty: no such thing has happened.
[[nodiscard]] std::string NotRepeatable(const RunPins& pins);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_TYPES_H_
