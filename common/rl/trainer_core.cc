#include "common/rl/trainer_core.h"

#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/rl/masked.h"
#include "common/rl/rewards.h"
#include "common/rl/value_math.h"

namespace mellow::rl {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Adds the time from construction to destruction to a sum.
class ScopedSeconds {
 public:
  explicit ScopedSeconds(double* sum) : sum_(sum), start_(Clock::now()) {}
  ~ScopedSeconds() { *sum_ += SecondsSince(start_); }
  ScopedSeconds(const ScopedSeconds&) = delete;
  ScopedSeconds& operator=(const ScopedSeconds&) = delete;

 private:
  double* sum_;
  Clock::time_point start_;
};

template <typename AnyRows>
AnyRows Select(const AnyRows& rows, const std::vector<int>& chosen) {
  AnyRows out;
  out.reserve(chosen.size());
  for (const int row : chosen) out.push_back(rows[static_cast<size_t>(row)]);
  return out;
}

// The rows of one mini-batch into their places in the batch.
void Scatter(Rows packed, const std::vector<int>& chosen, Rows* rows) {
  for (size_t i = 0; i < chosen.size(); ++i)
    (*rows)[static_cast<size_t>(chosen[i])] = std::move(packed[i]);
}

std::vector<std::pair<std::string, at::Tensor>> NamedParameters(const nn::TorchLora& policy,
                                                                const at::Tensor& value_weight,
                                                                const at::Tensor& value_bias) {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const nn::TorchLora::Named& p : policy.parameters()) {
    out.emplace_back(p.module + ".lora_A.weight", p.a);
    out.emplace_back(p.module + ".lora_B.weight", p.b);
  }
  out.emplace_back("v_head.summary.weight", value_weight);
  out.emplace_back("v_head.summary.bias", value_bias);
  return out;
}

std::vector<float> ScoresOf(absl::Span<const Rollout> rollouts) {
  std::vector<float> scores;
  for (const Rollout& r : rollouts) scores.push_back(r.score);
  return scores;
}

int64_t ResponseLength(const Rollout& rollout) {
  return static_cast<int64_t>(rollout.response_ids.size());
}

// Stale rollouts: each token's weight pi_now / pi_behavior, truncated. Empty when none is stale.
Rows ImportanceWeights(absl::Span<const Rollout> rollouts, const Rows& current, double most) {
  Rows weights(rollouts.size());
  bool any = false;
  for (size_t i = 0; i < rollouts.size(); ++i) {
    const Rollout& r = rollouts[i];
    weights[i].assign(r.response_ids.size(), 1.0f);
    if (!r.stale) continue;
    any = true;
    for (size_t t = 0; t < r.response_ids.size(); ++t) {
      weights[i][t] = static_cast<float>(
          std::min(std::exp(static_cast<double>(current[i][t]) - r.behaviour_logprobs[t]), most));
    }
  }
  return any ? weights : Rows();
}

}  // namespace

TrainerCore::TrainerCore(const PpoConfig& config, std::unique_ptr<nn::TrainableT5> model,
                         nn::TorchLora policy, nn::TorchLora reference, const ValueHead& head)
    : config_(config),
      model_(std::move(model)),
      policy_(std::move(policy)),
      reference_(std::move(reference)),
      value_weight_(nn::FloatTensor(head.weight, model_->device())),
      value_bias_(nn::FloatTensor({head.bias}, model_->device())),
      adam_(NamedParameters(policy_, value_weight_, value_bias_), {}),
      kl_(config),
      random_(config.seed) {}

ValueHead TrainerCore::value_head() const {
  return {nn::ToVector(value_weight_), nn::ToVector(value_bias_)[0]};
}

void TrainerCore::set_value_head(const ValueHead& head) {
  value_weight_.copy_(nn::FloatTensor(head.weight, value_weight_.device()));
  value_bias_.fill_(head.bias);
}

std::vector<TrainerCore::MiniBatch> TrainerCore::DrawMiniBatches(NumpyRandom* random) const {
  const std::vector<int> order = random->Permutation(config_.batch_size);
  std::vector<MiniBatch> out;
  for (auto begin = order.begin(); begin != order.end(); begin += config_.mini_batch_size)
    out.emplace_back(begin, begin + config_.mini_batch_size);
  return out;
}

nn::TeacherForced TrainerCore::Pack(absl::Span<const Rollout> rollouts,
                                    const MiniBatch& rows) const {
  std::vector<nn::PairView> ids;
  for (const int row : rows) {
    const Rollout& r = rollouts[static_cast<size_t>(row)];
    ids.push_back({r.query_ids, r.response_ids});
  }
  return nn::PackPairs(ids, model_->config().decoder_start_token_id, model_->device());
}

std::vector<std::vector<float>> TrainerCore::Score(absl::Span<const ScoreRow> rows,
                                                   const nn::TorchLora& lora) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<float>> out(rows.size());
  std::vector<int> pending;
  std::vector<nn::PairView> ids;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].response_ids.empty()) {
      pending.push_back(static_cast<int>(i));
      ids.push_back({rows[i].query_ids, rows[i].response_ids});
    }
    const bool last = i + 1 == rows.size();
    if (pending.empty() || (!last && static_cast<int>(pending.size()) < config_.mini_batch_size))
      continue;
    const nn::TeacherForced packed =
        nn::PackPairs(ids, model_->config().decoder_start_token_id, model_->device());
    const at::Tensor hidden = model_->Hidden(packed, lora);
    const at::Tensor logprobs = model_->ScoreTargets(hidden, packed.labels, {}).logprobs;
    Scatter(ToRows(logprobs, packed.target.lengths), pending, &out);
    pending.clear();
    ids.clear();
  }
  model_->ReleaseMemory();
  return out;
}

Experience TrainerCore::Collect(absl::Span<const Rollout> rollouts,
                                const std::vector<MiniBatch>& plan, KeptForward* kept,
                                Seconds* seconds) {
  Experience e;
  const size_t n = rollouts.size();
  for (Rows* rows : {&e.old_logprobs, &e.old_values, &e.reference_logprobs, &e.full_kl})
    rows->resize(n);
  std::vector<int64_t> lengths;
  for (const Rollout& r : rollouts) lengths.push_back(ResponseLength(r));
  e.mask = ResponseMask(lengths, /*skip_first_token=*/config_.trl_compat);

  // Mini-batches as the first epoch will draw them: then an unmoved policy and its reference see
  // the same packing and their log-probs are equal bit for bit.
  for (size_t m = 0; m < plan.size(); ++m) {
    const nn::TeacherForced packed = Pack(rollouts, plan[m]);
    const bool keep = m == 0;
    at::Tensor hidden;
    {
      const ScopedSeconds timer(&seconds->forward);
      if (keep) {
        kept->pass = model_->Forward(packed, policy_, nullptr);
        hidden = kept->pass->hidden();
      } else {
        hidden = model_->Hidden(packed, policy_);
      }
      const at::Tensor values = Values(hidden, value_weight_, value_bias_);
      Scatter(ToRows(values, packed.target.lengths), plan[m], &e.old_values);
      bool need_head = keep;
      for (const int row : plan[m]) {
        const Rollout& r = rollouts[static_cast<size_t>(row)];
        need_head = need_head || r.behaviour_logprobs.empty() || r.stale;
      }
      if (need_head) {
        nn::HeadOutput head =
            model_->ScoreTargets(hidden, packed.labels, {.entropies = keep, .jacobian = keep});
        Scatter(ToRows(head.logprobs, packed.target.lengths), plan[m], &e.old_logprobs);
        if (keep) kept->head = std::move(head);
      }
    }
    const ScopedSeconds timer(&seconds->reference);
    const at::NoGradGuard no_grad;
    const at::Tensor reference = model_->Hidden(packed, reference_);
    const at::Tensor logprobs = model_->ScoreTargets(reference, packed.labels, {}).logprobs;
    Scatter(ToRows(logprobs, packed.target.lengths), plan[m], &e.reference_logprobs);
    if (config_.kl_penalty == KlPenalty::kFull) {
      const at::Tensor kl = model_->VocabularyKl(hidden, reference);
      Scatter(ToRows(kl, packed.target.lengths), plan[m], &e.full_kl);
    }
  }
  e.importance_weights = ImportanceWeights(rollouts, e.old_logprobs, config_.max_importance_weight);
  for (size_t i = 0; i < n; ++i) {
    if (!rollouts[i].stale && !rollouts[i].behaviour_logprobs.empty())
      e.old_logprobs[i] = rollouts[i].behaviour_logprobs;
  }
  return e;
}

bool TrainerCore::Accumulate(absl::Span<const Rollout> rollouts, const Experience& experience,
                             const Advantages& advantages, const MiniBatch& rows, double scale,
                             KeptForward kept, LossStats* stats) {
  const nn::TeacherForced packed = Pack(rollouts, rows);
  if (kept.pass == nullptr) {
    kept.pass = model_->Forward(packed, policy_, nullptr);
    kept.head = model_->ScoreTargets(kept.pass->hidden(), packed.labels,
                                     {.entropies = true, .jacobian = true});
  }
  const at::Tensor& hidden = kept.pass->hidden();
  const std::vector<int64_t>& lengths = packed.target.lengths;
  const MaskRows mask = Select(experience.mask, rows);
  const Rows old_logprobs = Select(experience.old_logprobs, rows);
  const Rows new_logprobs = ToRows(kept.head.logprobs, lengths);
  const Rows old_values = Select(advantages.values, rows);
  const Rows new_values = ToRows(Values(hidden, value_weight_, value_bias_), lengths);
  const Rows chosen_advantages = Select(advantages.advantages, rows);
  const Rows returns = Select(advantages.returns, rows);
  const Rows entropies = ToRows(kept.head.entropies, lengths);
  const Rows importance =
      experience.importance_weights.empty() ? Rows() : Select(experience.importance_weights, rows);
  Losses losses = ComputeLosses({.mask = &mask,
                                 .old_logprobs = &old_logprobs,
                                 .new_logprobs = &new_logprobs,
                                 .old_values = &old_values,
                                 .new_values = &new_values,
                                 .advantages = &chosen_advantages,
                                 .returns = &returns,
                                 .entropies = &entropies,
                                 .importance_weights = importance.empty() ? nullptr : &importance},
                                {.cliprange = config_.cliprange,
                                 .cliprange_value = config_.cliprange_value,
                                 .vf_coef = config_.vf_coef});
  *stats = losses.stats;
  const bool finite = std::isfinite(stats->total_loss) && std::isfinite(stats->ratio_mean);
  if (!finite || stats->ratio_mean > config_.ratio_threshold) {
    stats->policy_loss = stats->value_loss = stats->total_loss = 0;
    return false;
  }
  const at::NoGradGuard no_grad;
  const at::Tensor d_logprobs = FromRows(losses.d_logprobs, model_->device()).mul_(scale);
  const at::Tensor d_values = FromRows(losses.d_values, model_->device()).mul_(scale);
  const auto add = [](const at::Tensor& parameter, const at::Tensor& gradient) {
    at::Tensor& sum = parameter.mutable_grad();
    sum = sum.defined() ? sum + gradient : gradient;
  };
  const at::Tensor value_gradient = ValueGradient(hidden, d_values, lengths);
  add(value_weight_, value_gradient.slice(0, 0, value_weight_.size(0)));
  add(value_bias_, value_gradient.slice(0, value_weight_.size(0)));
  kept.pass->Backward(
      HiddenGradient(std::move(kept.head.jacobian), d_logprobs, d_values, value_weight_));
  return true;
}

void TrainerCore::OptimizerStep(Updates* updates) {
  const double norm = adam_.GradientNorm();
  if (!std::isfinite(norm)) {
    ++updates->skipped;
    return;
  }
  updates->gradient_norms.push_back(norm);
  // TRL's list of parameters to clip is an iterator that the first step uses up.
  const bool clips = config_.max_grad_norm && (!config_.trl_compat || adam_.steps() == 0);
  if (clips) {
    const double factor = *config_.max_grad_norm / (norm + 1e-6);
    if (factor < 1) adam_.ScaleGradients(factor);
  }
  adam_.Step(config_.learning_rate);
}

TrainerCore::Updates TrainerCore::Train(absl::Span<const Rollout> rollouts,
                                        const Experience& experience, const Advantages& advantages,
                                        std::vector<MiniBatch> plan, NumpyRandom* random,
                                        KeptForward kept) {
  Updates updates;
  const auto group_size = static_cast<size_t>(config_.gradient_accumulation_steps);
  for (int epoch = 0; epoch < config_.ppo_epochs; ++epoch) {
    if (epoch > 0) plan = DrawMiniBatches(random);
    for (size_t begin = 0; begin < plan.size(); begin += group_size) {
      std::vector<double> tokens;  // counted, of each mini-batch of the group
      double planned = 0;
      for (size_t m = begin; m < begin + group_size; ++m) {
        tokens.push_back(
            std::max<double>(1, static_cast<double>(CountMask(Select(experience.mask, plan[m])))));
        planned += tokens.back();
      }
      adam_.ZeroGradients();
      double trained = 0;
      for (size_t m = 0; m < group_size; ++m) {
        const double scale =
            config_.trl_compat ? 1 / (tokens[m] * static_cast<double>(group_size)) : 1 / planned;
        LossStats stats;
        const bool used = Accumulate(rollouts, experience, advantages, plan[begin + m], scale,
                                     std::exchange(kept, {}), &stats);
        updates.losses.push_back(stats);
        if (used) trained += tokens[m];
        if (!used) ++updates.skipped;
      }
      if (config_.trl_compat) {
        OptimizerStep(&updates);
      } else if (trained > 0) {
        // The mean over the tokens that were really trained on.
        if (trained < planned) adam_.ScaleGradients(planned / trained);
        OptimizerStep(&updates);
      }
    }
    if (config_.early_stopping && updates.losses.back().policy_kl > 1.5 * config_.target_kl) break;
  }
  adam_.ZeroGradients();
  model_->ReleaseMemory();
  return updates;
}

absl::StatusOr<StepResult> TrainerCore::Step(absl::Span<const Rollout> rollouts) {
  const Clock::time_point start = Clock::now();
  Seconds seconds;
  RunningMoments moments = moments_;
  NumpyRandom random = random_;
  MELLOW_ASSIGN_OR_RETURN(std::vector<float> scores,
                          ProcessScores(ScoresOf(rollouts), config_, &moments));
  for (size_t i = 0; i < rollouts.size(); ++i) {
    if (!model_->config().IsEnd(rollouts[i].response_ids.back()))
      scores[i] -= static_cast<float>(config_.missing_eos_penalty);
  }

  const std::vector<MiniBatch> plan = DrawMiniBatches(&random);
  KeptForward kept;
  const Experience e = Collect(rollouts, plan, &kept, &seconds);
  for (const Rows* rows : {&e.old_logprobs, &e.reference_logprobs, &e.old_values}) {
    if (!std::isfinite(MaskedSum(e.mask, [&](size_t i, size_t t) { return (*rows)[i][t]; })))
      return absl::InternalError("log-probs or values of the model are not finite");
  }

  const double beta = kl_.value();
  StepResult result;
  std::vector<int64_t> query_lengths, response_lengths;
  int64_t processed = 0;
  int64_t longest = 0;
  for (const Rollout& r : rollouts) {
    query_lengths.push_back(static_cast<int64_t>(r.query_ids.size()));
    // TRL's responses carry the start token.
    response_lengths.push_back(ResponseLength(r) + (config_.trl_compat ? 1 : 0));
    processed += query_lengths.back() + ResponseLength(r);
    longest = std::max(longest, ResponseLength(r));
  }
  Advantages advantages;
  {
    const ScopedSeconds timer(&seconds.rewards);
    const Rows penalties =
        config_.kl_penalty == KlPenalty::kFull
            ? e.full_kl
            : TokenPenalties(config_.kl_penalty, e.old_logprobs, e.reference_logprobs);
    const TokenRewards rewards = ComputeRewards(penalties, scores, beta, e.mask);
    advantages = ComputeAdvantages(e.old_values, rewards.rewards, e.mask,
                                   {.gamma = config_.gamma,
                                    .lam = config_.lam,
                                    .whiten_rewards = config_.whiten_rewards,
                                    .whitened_padding = config_.trl_compat,
                                    .padded_width = longest});
    AddBatchStats({.mask = &e.mask,
                   .old_logprobs = &e.old_logprobs,
                   .reference_logprobs = &e.reference_logprobs,
                   .penalties = &penalties,
                   .non_score = &rewards.non_score,
                   .scores = scores,
                   .query_lengths = query_lengths,
                   .response_lengths = response_lengths,
                   .kl_coef = beta},
                  &result.stats);
  }

  Updates updates;
  {
    const ScopedSeconds timer(&seconds.optimize);
    updates = Train(rollouts, e, advantages, plan, &random, std::move(kept));
  }
  Stats& s = result.stats;
  AddLossStats(updates.losses, &s);
  s["ppo/learning_rate"] = config_.learning_rate;
  s["ppo/grad_norm"] = MeanAndStd(updates.gradient_norms).mean;
  s["ppo/skipped_mini_batches"] = updates.skipped;
  s["ppo/importance_weight"] =
      e.importance_weights.empty() ? 1.0 : MaskedMean(e.importance_weights, e.mask);
  s["tokens/processed"] = static_cast<double>(processed);

  kl_.Update(s["objective/kl"], config_.batch_size);
  moments_ = moments;
  random_ = random;
  result.step = ++step_;
  s["time/ppo/forward_pass"] = seconds.forward;
  s["time/ppo/reference_pass"] = seconds.reference;
  s["time/ppo/compute_rewards"] = seconds.rewards;
  s["time/ppo/optimize_step"] = seconds.optimize;
  s["time/ppo/total"] = SecondsSince(start);
  return result;
}

}  // namespace mellow::rl
