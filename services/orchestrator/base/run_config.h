#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_CONFIG_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/data/data_spec.h"
#include "services/orchestrator/base/guard.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

struct RolloutSampling {
  // policy's SamplingParams, valid, serialized: this service only passes it on. What it leaves
  // unset is as the policy server's model says.
  std::string params;
  std::optional<int> max_new_tokens;  // of it, as is the next
  int min_new_tokens = 0;
  std::optional<int> length_sampler_min;  // max_new_tokens is drawn from [min, max) per prompt
  std::optional<int> length_sampler_max;
};

struct RewardConfig {
  std::string label = "nothate";
  std::string text_template = "{query} {response}";
  bool keep_special_tokens = false;
  std::string toxic_label;  // empty: the reward node's
};

// What the largest requests of a run have on the wire, as far as it is known.
struct RequestBytes {
  int64_t prompts = 0;  // of a shard, to a policy
  int64_t texts = 0;    // of a shard, to a reward or judge: at least
  int64_t step = 0;     // of a step's rollouts, to the learner: at most
};

// A run as it was asked for, with every default filled in.
struct RunConfig {
  std::string name;
  int steps = 0;
  uint32_t seed = 0;
  data::DataSpec data;  // its path is absolute
  RolloutSampling sampling;
  RewardConfig reward;
  std::string ppo;        // learner's PpoConfig, serialized: this service only passes it on
  std::string spec_json;  // the run file as it was given, for people; may be empty
  int batch_size = 128;
  bool reference_is_start = true;  // the KL is measured against the weights the run starts from
  // kl_penalty is "full": whole distributions are compared, which only the learner can do.
  bool full_kl = false;
  std::string precision = "float32";  // of the learner's frozen products
  // The target of the adaptive KL controller, nats per sequence; 0: the coefficient is fixed.
  double kl_target = 0;
  std::string start_adapter;  // PEFT folder as the learner sees it; empty: fresh
  int max_staleness = 0;
  int shard_prompts = 8;
  absl::Duration lease = absl::Seconds(600);
  std::optional<GuardConfig> guard;  // none: nothing stops the run

  // InvalidArgument naming the field of the run file and its value. Does not look at files.
  [[nodiscard]] absl::Status Validate() const;
  // Whether a node can do this run's requests at all, by what it says that it takes:
  // InvalidArgument naming the field, its value and the node's limit.
  [[nodiscard]] absl::Status CheckFits(const NodeReport& node, const RequestBytes& bytes) const;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_CONFIG_H_
