#include "common/rl/group_work.h"

namespace mellow::rl {
namespace {

template <typename AnyRows>
AnyRows SliceOf(const AnyRows& rows, size_t first, size_t last) {
  if (rows.empty()) return rows;
  return {rows.begin() + static_cast<ptrdiff_t>(first),
          rows.begin() + static_cast<ptrdiff_t>(last)};
}

Sequences SliceOf(const Sequences& sequences, size_t first, size_t last) {
  return {SliceOf(sequences.query_ids, first, last), SliceOf(sequences.response_ids, first, last)};
}

}  // namespace

EvaluationTask SliceOf(const EvaluationTask& task, size_t first, size_t last) {
  return {SliceOf(task.sequences, first, last),
          task.values,
          task.logprobs,
          task.reference_logprobs,
          task.full_kl,
          task.precision};
}

GradientTask SliceOf(const GradientTask& task, size_t first, size_t last) {
  return {.sequences = SliceOf(task.sequences, first, last),
          .mask = SliceOf(task.mask, first, last),
          .old_logprobs = SliceOf(task.old_logprobs, first, last),
          .old_values = SliceOf(task.old_values, first, last),
          .advantages = SliceOf(task.advantages, first, last),
          .returns = SliceOf(task.returns, first, last),
          .importance_weights = SliceOf(task.importance_weights, first, last),
          .loss = task.loss,
          .scale = task.scale,
          .precision = task.precision};
}

Losses LossesOf(const GradientTask& task, const GradientAnswer& answer) {
  return ComputeLosses(
      {.mask = &task.mask,
       .old_logprobs = &task.old_logprobs,
       .new_logprobs = &answer.logprobs,
       .old_values = &task.old_values,
       .new_values = &answer.values,
       .advantages = &task.advantages,
       .returns = &task.returns,
       .entropies = &answer.entropies,
       .importance_weights = task.importance_weights.empty() ? nullptr : &task.importance_weights},
      task.loss);
}

}  // namespace mellow::rl
