#ifndef MELLOW_COMMON_RL_PPO_TRAINER_H_
#define MELLOW_COMMON_RL_PPO_TRAINER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/lora.h"
#include "common/nn/t5_config.h"
#include "common/nn/value_head.h"
#include "common/rl/group_work.h"
#include "common/rl/ppo_config.h"
#include "common/train/trainer_options.h"

namespace mellow::rl {

// One sampled response and its score.
struct Rollout {
  std::vector<int32_t> query_ids;  // encoder input, with its </s>
  std::vector<int32_t>
      response_ids;  // without the decoder start token; with </s> when it was generated
  float score = 0;
  // log p of each response token under the raw distribution of the policy that sampled it. Empty:
  // the trainer computes them with the current weights (one more pass of the head).
  std::vector<float> behavior_logprobs;
  // Sampled by older weights than the trainer's, or in another precision. The ratio of PPO is then
  // taken against the current weights, and each token's policy loss is multiplied by min(pi_now /
  // pi_behavior, max_importance_weight) (decoupled PPO, Hilton et al. 2022). Needs
  // behavior_logprobs.
  bool stale = false;
  // What others have computed with the trainer's weights, value head and reference of before the
  // step: values of the states that predict the response tokens (not used of stale rollouts), and
  // log-probs under the reference (not used with KlPenalty::kFull). One per token; empty: computed
  // by the trainer. A mini-batch whose rollouts all have them needs no pass but those of its
  // update.
  std::vector<float> values = {};
  std::vector<float> reference_logprobs = {};
};

struct StepResult {
  // TRL's scalar statistics under TRL's names ("objective/kl", "ppo/loss/policy",
  // "ppo/returns/mean", "tokens/..."), and ours:
  //   objective/kl_k1, objective/kl_k3: estimates of KL(policy, reference) in nats per sequence,
  //   whatever kl_penalty is; ppo/grad_norm: mean over the optimizer steps, before clipping;
  //   ppo/skipped_mini_batches; ppo/passes_skipped: forward passes that the rollouts' own values
  //   and reference_logprobs made unnecessary, of two a mini-batch; ppo/importance_weight: mean
  //   over the counted tokens (1 without stale rollouts); ppo/sampler_kl: what the stale rollouts'
  //   tokens say about KL(their sampler, the trainer), nats per token; ppo/sampler_logprob_error:
  //   mean distance of their log-probs from the trainer's (both 0 without any); tokens/counted:
  //   response tokens that were trained on;  tokens/processed: query and response tokens of the
  //   batch; time/ppo/{forward_pass,reference_pass,compute_rewards,optimize_step,total}: seconds.
  std::map<std::string, double> stats;
  int64_t step = 0;  // steps done, this one included
};

struct ScoreRow {
  std::vector<int32_t> query_ids;
  std::vector<int32_t> response_ids;
};

// PPO over the LoRA weights of a T5 with a value head on its decoder: one object is one run's
// optimizer state.
//
// The base weights are frozen; LoRA dropout is inactive in every pass, as in TRL, which computes
// log-probs in eval mode. Deterministic: the same configuration and rollouts give the same bits, on
// the CPU for any thread count and instruction set, on CUDA for one machine type; the random
// numbers (fresh weights, mini-batch order) come from config.seed alone. Not thread-safe. A Step
// refused with InvalidArgument leaves the trainer as it was; after any other error (out of memory
// can come at any point of it) weights and moments may have moved: go back with RestoreState, or
// drop the trainer.
class PpoTrainer {
 public:
  // `model_folder`: a Hugging Face T5 folder. `start`: the adapter to train on; absent: a fresh one
  // after config.lora (PEFT's initialization: B = 0), PEFT's default r = 8 on q and v when that is
  // absent too. With both given, `start` counts. Errors: those of config.Validate, of the model
  // folder and of the value head's file; InvalidArgument when the adapter does not fit the model.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PpoTrainer>> Create(
      const std::string& model_folder, const PpoConfig& config,
      const std::optional<nn::LoraWeights>& start, const train::TrainerOptions& options);
  // What Create would say of everything but the model's weights, which it does not read.
  [[nodiscard]] static absl::Status Check(const std::string& model_folder, const PpoConfig& config,
                                          const std::optional<nn::LoraWeights>& start);
  ~PpoTrainer();
  PpoTrainer(const PpoTrainer&) = delete;
  PpoTrainer& operator=(const PpoTrainer&) = delete;

  [[nodiscard]] const PpoConfig& config() const;
  [[nodiscard]] const nn::T5Config& model_config() const;
  [[nodiscard]] int64_t step() const;
  [[nodiscard]] double kl_coef() const;
  [[nodiscard]] int64_t trainable_parameters() const;  // adapter and value head
  [[nodiscard]] int64_t total_parameters() const;      // with the frozen base model

  // One PPO step on exactly config.batch_size rollouts.
  // InvalidArgument: another number, an empty query or response, an id outside the vocabulary,
  // behavior log-probs, values or reference log-probs of another length than the response, a number
  // that is not finite. Internal: the numbers of the model are not finite. And errors of `source`,
  // with which other nodes do a part of the work (null: this one does all); the result does not
  // depend on it. `between` (may be empty) is called after each mini-batch, from this thread.
  [[nodiscard]] absl::StatusOr<StepResult> Step(absl::Span<const Rollout> rollouts,
                                                GroupSource* source = nullptr,
                                                const std::function<void()>& between = {});

  // A copy of the trained adapter.
  [[nodiscard]] nn::LoraWeights Adapter() const;
  [[nodiscard]] nn::LoraWeights ReferenceAdapter()
      const;  // no modules when the reference is the base model
  [[nodiscard]] ValueHead value_head() const;
  // InvalidArgument: not d_model weights.
  [[nodiscard]] absl::Status set_value_head(const ValueHead& head);

  // log p of the response tokens under the current weights or the reference; errors as Step. For
  // canaries and self-tests.
  enum class Which { kCurrent, kReference };
  // `values`, if not null, gets what the value head says of the same states.
  [[nodiscard]] absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const ScoreRow> rows, Which which,
      std::vector<std::vector<float>>* values = nullptr);

  // Everything that the next step depends on: adapter, reference, value head, Adam's moments, KL
  // coefficient, running moments, generator, step. Written into `folder`, which exists (a
  // checkpoint's staging folder), as trainer.json and trainer.safetensors.
  [[nodiscard]] absl::Status SaveState(const std::string& folder) const;
  // Continue bit for bit where SaveState was called. FailedPrecondition: the state is of another
  // model, adapter shape or configuration (the field is named); the trainer is then unchanged.
  [[nodiscard]] absl::Status RestoreState(const std::string& folder);

 private:
  class Impl;
  explicit PpoTrainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_PPO_TRAINER_H_
