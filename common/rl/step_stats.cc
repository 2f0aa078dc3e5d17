#include "common/rl/step_stats.h"

#include "common/rl/masked.h"
#include "common/rl/rewards.h"
#include "common/stats/mean.h"

namespace mellow::rl {
namespace {

void AddLengths(const std::string& name, absl::Span<const int64_t> lengths, Stats* stats) {
  const stats::MeanSd m = stats::MeanAndSd(std::vector<double>(lengths.begin(), lengths.end()));
  (*stats)["tokens/" + name + "_len_mean"] = m.mean;
  (*stats)["tokens/" + name + "_len_std"] = m.sd;
}

}  // namespace

void AddBatchStats(const BatchNumbers& batch, Stats* stats) {
  const MaskRows& mask = *batch.mask;
  const double rows = mask.empty() ? 1.0 : static_cast<double>(mask.size());
  const Rows& old = *batch.old_logprobs;
  const Rows& reference = *batch.reference_logprobs;
  const Rows& penalties = *batch.penalties;
  Stats& s = *stats;
  s["objective/kl"] = MaskedSum(mask, [&](size_t i, size_t t) { return penalties[i][t]; }) / rows;
  s["objective/kl_k1"] =
      MaskedSum(mask, [&](size_t i, size_t t) { return old[i][t] - reference[i][t]; }) / rows;
  s["objective/kl_k3"] =
      MaskedSum(mask, [&](size_t i, size_t t) { return K3(old[i][t], reference[i][t]); }) / rows;
  s["objective/entropy"] = MaskedSum(mask, [&](size_t i, size_t t) { return -old[i][t]; }) / rows;
  s["objective/kl_coef"] = batch.kl_coef;
  s["ppo/mean_non_score_reward"] = MaskedMean(*batch.non_score, mask);
  const stats::MeanSd scores =
      stats::MeanAndSd(std::vector<double>(batch.scores.begin(), batch.scores.end()));
  s["ppo/mean_scores"] = scores.mean;
  s["ppo/std_scores"] = scores.sd;
  AddLengths("queries", batch.query_lengths, stats);
  AddLengths("responses", batch.response_lengths, stats);
  s["tokens/counted"] = static_cast<double>(CountMask(mask));
}

void AddLossStats(absl::Span<const LossStats> mini_batches, Stats* stats) {
  const std::pair<const char*, double LossStats::*> names[] = {
      {"ppo/loss/policy", &LossStats::policy_loss},
      {"ppo/loss/value", &LossStats::value_loss},
      {"ppo/loss/total", &LossStats::total_loss},
      {"ppo/policy/entropy", &LossStats::entropy},
      {"ppo/policy/approxkl", &LossStats::approx_kl},
      {"ppo/policy/policykl", &LossStats::policy_kl},
      {"ppo/policy/clipfrac", &LossStats::policy_clip_fraction},
      {"ppo/policy/advantages_mean", &LossStats::advantages_mean},
      {"ppo/policy/ratio_mean", &LossStats::ratio_mean},
      {"ppo/returns/mean", &LossStats::returns_mean},
      {"ppo/returns/var", &LossStats::returns_var},
      {"ppo/val/vpred", &LossStats::value_prediction},
      {"ppo/val/error", &LossStats::value_error},
      {"ppo/val/clipfrac", &LossStats::value_clip_fraction},
      {"ppo/val/mean", &LossStats::old_value_mean},
      {"ppo/val/var", &LossStats::old_value_var},
  };
  for (const auto& [name, member] : names) {
    double sum = 0;
    for (const LossStats& s : mini_batches) sum += s.*member;
    (*stats)[name] = sum / static_cast<double>(mini_batches.size());
  }
  const double variance = (*stats)["ppo/returns/var"];
  (*stats)["ppo/val/var_explained"] = variance > 0 ? 1 - (*stats)["ppo/val/error"] / variance : 0;
}

}  // namespace mellow::rl
