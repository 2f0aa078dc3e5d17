#include "common/rl/trainer_core.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/rl/masked.h"
#include "common/rl/mini_batches.h"
#include "common/rl/rewards.h"
#include "common/stats/mean.h"

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

Sequences SequencesOf(absl::Span<const Rollout> rollouts, const std::vector<int>& rows) {
  Sequences out;
  for (const int row : rows) {
    out.query_ids.push_back(rollouts[static_cast<size_t>(row)].query_ids);
    out.response_ids.push_back(rollouts[static_cast<size_t>(row)].response_ids);
  }
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
          std::min(std::exp(static_cast<double>(current[i][t]) - r.behavior_logprobs[t]), most));
    }
  }
  return any ? weights : Rows();
}

// How far those who sampled the stale rollouts are from the trainer, by the log-probs of both:
// means over their counted tokens, 0 without any.
void AddSamplerStats(absl::Span<const Rollout> rollouts, const Rows& current, const MaskRows& mask,
                     Stats* stats) {
  MaskRows counted = mask;
  for (size_t i = 0; i < rollouts.size(); ++i) {
    if (!rollouts[i].stale) std::fill(counted[i].begin(), counted[i].end(), uint8_t{0});
  }
  const auto difference = [&](size_t i, size_t t) {
    return double{rollouts[i].behavior_logprobs[t]} - current[i][t];
  };
  (*stats)["ppo/sampler_kl"] = MaskedMean(counted, difference);
  (*stats)["ppo/sampler_logprob_error"] =
      MaskedMean(counted, [&](size_t i, size_t t) { return std::fabs(difference(i, t)); });
}

}  // namespace

TrainerCore::TrainerCore(const PpoConfig& config, train::AdaptedModel policy,
                         nn::TorchLora reference, const ValueHead& head)
    : config_(config),
      weights_{policy.lora, nn::FloatTensor(head.weight, policy.model->device()),
               nn::FloatTensor({head.bias}, policy.model->device())},
      trainer_(std::move(policy),
               {{"v_head.summary.weight", weights_.value_weight},
                {"v_head.summary.bias", weights_.value_bias}},
               {}),
      reference_(std::move(reference)),
      kl_(config),
      random_(config.seed) {}

ValueHead TrainerCore::value_head() const {
  return {nn::ToVector(weights_.value_weight), nn::ToVector(weights_.value_bias)[0]};
}

void TrainerCore::set_value_head(const ValueHead& head) {
  weights_.value_weight.copy_(nn::FloatTensor(head.weight, model().device()));
  weights_.value_bias.fill_(head.bias);
}

Evaluation TrainerCore::Evaluate(const EvaluationTask& task) {
  return EvaluateGroup(trainer_.model(), weights_, reference_, task);
}
GradientAnswer TrainerCore::Gradient(const GradientTask& task) {
  return ComputeGradient(trainer_.model(), weights_, task);
}
TrainedWeights TrainerCore::Current() const { return {weights_.policy.ToHost(), value_head()}; }
TrainedWeights TrainerCore::Reference() const { return {reference_.ToHost(), {}}; }

std::vector<TrainerCore::MiniBatch> TrainerCore::DrawMiniBatches(const StepWork& work,
                                                                 NumpyRandom* random) const {
  const std::vector<int> order = random->Permutation(config_.batch_size);
  std::vector<MiniBatch> out;
  for (auto begin = order.begin(); begin != order.end(); begin += config_.mini_batch_size)
    out.push_back(BalancedOrder({begin, begin + config_.mini_batch_size}, work.tokens));
  return out;
}

std::vector<std::vector<float>> TrainerCore::Score(absl::Span<const ScoreRow> rows,
                                                   const nn::TorchLora& lora,
                                                   std::vector<std::vector<float>>* values) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<float>> out(rows.size());
  if (values != nullptr) values->assign(rows.size(), {});
  const DeviceWeights weights{lora, weights_.value_weight, weights_.value_bias};
  EvaluationTask task{
      .values = values != nullptr, .logprobs = true, .precision = config_.precision};
  std::vector<int> pending;  // the rows of the task
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].response_ids.empty()) {
      pending.push_back(static_cast<int>(i));
      task.sequences.query_ids.push_back(rows[i].query_ids);
      task.sequences.response_ids.push_back(rows[i].response_ids);
    }
    const bool last = i + 1 == rows.size();
    if (pending.empty() || (!last && static_cast<int>(pending.size()) < config_.mini_batch_size))
      continue;
    Evaluation got = EvaluateGroup(trainer_.model(), weights, reference_, task);
    Scatter(std::move(got.logprobs), pending, &out);
    if (values != nullptr) Scatter(std::move(got.values), pending, values);
    pending.clear();
    task.sequences = {};
  }
  trainer_.model()->ReleaseMemory();
  return out;
}

absl::StatusOr<std::vector<Evaluation>> TrainerCore::EvaluateAll(
    const std::vector<EvaluationTask>& tasks, StepWork* work, bool keep) {
  if (work->source != nullptr) {
    absl::StatusOr<std::vector<Evaluation>> all = work->source->Evaluate(this, tasks);
    if (work->between) work->between();
    return all;
  }
  std::vector<Evaluation> out;
  for (const EvaluationTask& task : tasks) {
    out.push_back(EvaluateGroup(trainer_.model(), weights_, reference_, task,
                                keep && out.empty() ? &work->kept : nullptr));
    if (work->between) work->between();
  }
  return out;
}

absl::StatusOr<Experience> TrainerCore::Collect(const std::vector<MiniBatch>& plan, StepWork* work,
                                                Seconds* seconds) {
  const absl::Span<const Rollout> rollouts = work->rollouts;
  Experience e;
  const size_t n = rollouts.size();
  for (Rows* rows : {&e.old_logprobs, &e.old_values, &e.reference_logprobs, &e.full_kl})
    rows->resize(n);
  std::vector<int64_t> lengths;
  for (const Rollout& r : rollouts) lengths.push_back(ResponseLength(r));
  e.mask = ResponseMask(lengths, /*skip_first_token=*/config_.trl_compat);

  // Mini-batches as the first epoch will draw them: then an unmoved policy and its reference see
  // the same packing and their log-probs are equal bit for bit, on CUDA too.
  const bool full = config_.kl_penalty == KlPenalty::kFull;
  std::vector<EvaluationTask> current, reference;
  std::vector<size_t> current_of, reference_of;  // their mini-batches
  for (size_t m = 0; m < plan.size(); ++m) {
    EvaluationTask states{.sequences = SequencesOf(rollouts, plan[m]),
                          .precision = config_.precision};
    EvaluationTask scores{.full_kl = full, .precision = config_.precision};
    for (const int row : plan[m]) {
      const Rollout& r = rollouts[static_cast<size_t>(row)];
      states.values = states.values || r.values.empty() || r.stale;
      states.logprobs = states.logprobs || r.behavior_logprobs.empty() || r.stale;
      scores.reference_logprobs = scores.reference_logprobs || r.reference_logprobs.empty();
    }
    if (scores.reference_logprobs || full) {
      scores.sequences = states.sequences;
      reference.push_back(std::move(scores));
      reference_of.push_back(m);
    }
    if (states.values || states.logprobs) {
      current.push_back(std::move(states));
      current_of.push_back(m);
    }
  }
  // The KL over the vocabulary is of both passes.
  if (!full)
    e.passes_skipped = static_cast<int>(2 * plan.size() - current.size() - reference.size());
  {
    const ScopedSeconds timer(&seconds->forward);
    const bool first = !current_of.empty() && current_of[0] == 0;
    MELLOW_ASSIGN_OR_RETURN(std::vector<Evaluation> got, EvaluateAll(current, work, first));
    for (size_t i = 0; i < got.size(); ++i) {
      const MiniBatch& rows = plan[current_of[i]];
      if (current[i].values) Scatter(std::move(got[i].values), rows, &e.old_values);
      if (current[i].logprobs) Scatter(std::move(got[i].logprobs), rows, &e.old_logprobs);
    }
  }
  {
    const ScopedSeconds timer(&seconds->reference);
    MELLOW_ASSIGN_OR_RETURN(std::vector<Evaluation> got,
                            EvaluateAll(reference, work, /*keep=*/false));
    for (size_t i = 0; i < got.size(); ++i) {
      const MiniBatch& rows = plan[reference_of[i]];
      if (reference[i].reference_logprobs)
        Scatter(std::move(got[i].reference_logprobs), rows, &e.reference_logprobs);
      if (full) Scatter(std::move(got[i].full_kl), rows, &e.full_kl);
    }
  }
  e.importance_weights = ImportanceWeights(rollouts, e.old_logprobs, config_.max_importance_weight);
  for (size_t i = 0; i < n; ++i) {
    const Rollout& r = rollouts[i];
    if (!r.stale && !r.behavior_logprobs.empty()) e.old_logprobs[i] = r.behavior_logprobs;
    if (!r.stale && !r.values.empty()) e.old_values[i] = r.values;
    if (!r.reference_logprobs.empty()) e.reference_logprobs[i] = r.reference_logprobs;
  }
  return e;
}

absl::StatusOr<bool> TrainerCore::Accumulate(const Experience& experience,
                                             const Advantages& advantages, const MiniBatch& rows,
                                             double scale, StepWork* work, LossStats* stats,
                                             std::vector<float>* gradient) {
  GradientTask task{.sequences = SequencesOf(work->rollouts, rows),
                    .mask = Select(experience.mask, rows),
                    .old_logprobs = Select(experience.old_logprobs, rows),
                    .old_values = Select(advantages.values, rows),
                    .advantages = Select(advantages.advantages, rows),
                    .returns = Select(advantages.returns, rows),
                    .loss = {.cliprange = config_.cliprange,
                             .cliprange_value = config_.cliprange_value,
                             .vf_coef = config_.vf_coef},
                    .scale = scale,
                    .precision = config_.precision};
  if (!experience.importance_weights.empty())
    task.importance_weights = Select(experience.importance_weights, rows);
  GradientAnswer answer;
  if (work->source != nullptr) {
    MELLOW_ASSIGN_OR_RETURN(answer, work->source->Gradient(this, task));
  } else {
    answer = ComputeGradient(trainer_.model(), weights_, task, std::exchange(work->kept, {}));
  }
  if (work->between) work->between();
  *stats = LossesOf(task, answer).stats;
  const bool finite = std::isfinite(stats->total_loss) && std::isfinite(stats->ratio_mean);
  if (!finite || stats->ratio_mean > config_.ratio_threshold) {
    stats->policy_loss = stats->value_loss = stats->total_loss = 0;
    return false;
  }
  if (gradient->empty()) {
    *gradient = std::move(answer.gradient);
  } else {
    for (size_t i = 0; i < gradient->size(); ++i) (*gradient)[i] += answer.gradient[i];
  }
  return true;
}

void TrainerCore::OptimizerStep(absl::Span<const float> gradient, double factor, Updates* updates) {
  nn::AdamW& adam = *trainer_.adam();
  adam.ZeroGradients();
  for (const nn::AdamW::Parameter& p : adam.parameters()) {
    if (gradient.empty()) break;
    const auto count = static_cast<size_t>(p.value.numel());
    p.value.mutable_grad() =
        nn::FloatTensor(gradient.first(count), p.value.device()).view(p.value.sizes());
    gradient.remove_prefix(count);
  }
  if (factor != 1) adam.ScaleGradients(factor);
  const double norm = adam.GradientNorm();
  if (!std::isfinite(norm)) {
    ++updates->skipped;
    return adam.ZeroGradients();
  }
  updates->gradient_norms.push_back(norm);
  // TRL's list of parameters to clip is an iterator that the first step uses up.
  const bool clips = !config_.trl_compat || adam.steps() == 0;
  trainer_.Step(config_.learning_rate, norm, clips ? config_.max_grad_norm : std::nullopt);
}

absl::StatusOr<TrainerCore::Updates> TrainerCore::Train(const Experience& experience,
                                                        const Advantages& advantages,
                                                        std::vector<MiniBatch> plan,
                                                        NumpyRandom* random, StepWork* work) {
  Updates updates;
  const auto group_size = static_cast<size_t>(config_.gradient_accumulation_steps);
  for (int epoch = 0; epoch < config_.ppo_epochs; ++epoch) {
    if (epoch > 0) plan = DrawMiniBatches(*work, random);
    for (size_t begin = 0; begin < plan.size(); begin += group_size) {
      std::vector<double> tokens;  // counted, of each mini-batch of the group
      double planned = 0;
      for (size_t m = begin; m < begin + group_size; ++m) {
        tokens.push_back(
            std::max<double>(1, static_cast<double>(CountMask(Select(experience.mask, plan[m])))));
        planned += tokens.back();
      }
      std::vector<float> gradient;
      double trained = 0;
      for (size_t m = 0; m < group_size; ++m) {
        const double scale =
            config_.trl_compat ? 1 / (tokens[m] * static_cast<double>(group_size)) : 1 / planned;
        LossStats stats;
        MELLOW_ASSIGN_OR_RETURN(const bool used, Accumulate(experience, advantages, plan[begin + m],
                                                            scale, work, &stats, &gradient));
        updates.losses.push_back(stats);
        if (used) trained += tokens[m];
        if (!used) ++updates.skipped;
      }
      if (config_.trl_compat) {
        OptimizerStep(gradient, 1, &updates);
      } else if (trained > 0) {
        // The mean over the tokens that were really trained on.
        OptimizerStep(gradient, trained < planned ? planned / trained : 1, &updates);
      }
    }
    if (config_.early_stopping && updates.losses.back().policy_kl > 1.5 * config_.target_kl) break;
  }
  if (work->source != nullptr) MELLOW_RETURN_IF_ERROR(work->source->Confirm(this));
  trainer_.model()->ReleaseMemory();
  return updates;
}

absl::StatusOr<StepResult> TrainerCore::Step(absl::Span<const Rollout> rollouts,
                                             GroupSource* source,
                                             const std::function<void()>& between) {
  const Clock::time_point start = Clock::now();
  Seconds seconds;
  RunningMoments moments = moments_;
  NumpyRandom random = random_;
  MELLOW_ASSIGN_OR_RETURN(std::vector<float> scores,
                          ProcessScores(ScoresOf(rollouts), config_, &moments));
  for (size_t i = 0; i < rollouts.size(); ++i) {
    if (!model().config().IsEnd(rollouts[i].response_ids.back()))
      scores[i] -= static_cast<float>(config_.missing_eos_penalty);
  }

  StepWork work{.rollouts = rollouts, .source = source, .between = between};
  for (const Rollout& r : rollouts)
    work.tokens.push_back(r.query_ids.size() + r.response_ids.size());
  const std::vector<MiniBatch> plan = DrawMiniBatches(work, &random);
  MELLOW_ASSIGN_OR_RETURN(const Experience e, Collect(plan, &work, &seconds));
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
    MELLOW_ASSIGN_OR_RETURN(updates, Train(e, advantages, plan, &random, &work));
  }
  Stats& s = result.stats;
  AddLossStats(updates.losses, &s);
  s["ppo/learning_rate"] = config_.learning_rate;
  s["ppo/grad_norm"] = stats::MeanAndSd(updates.gradient_norms).mean;
  s["ppo/skipped_mini_batches"] = updates.skipped;
  s["ppo/passes_skipped"] = e.passes_skipped;
  s["ppo/importance_weight"] =
      e.importance_weights.empty() ? 1.0 : MaskedMean(e.importance_weights, e.mask);
  AddSamplerStats(rollouts, e.old_logprobs, e.mask, &s);
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
