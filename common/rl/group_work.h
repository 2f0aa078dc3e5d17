#ifndef MELLOW_COMMON_RL_GROUP_WORK_H_
#define MELLOW_COMMON_RL_GROUP_WORK_H_

// The work of a PPO step that needs the model, as plain values: whoever has the base model and the
// weights computes it, and gives the same numbers for a row whatever its group. What needs a whole
// mini-batch (statistics, skipping, the optimizer) stays with the trainer.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/lora.h"
#include "common/nn/value_head.h"
#include "common/nn/weight_type.h"
#include "common/rl/losses.h"
#include "common/rl/rows.h"

namespace mellow::rl {

using nn::ValueHead;

// The weights that work is done with.
struct TrainedWeights {
  nn::LoraWeights adapter;  // without modules: the base model
  ValueHead value_head;     // without weights: none
};

// Queries and responses, one row each.
struct Sequences {
  std::vector<std::vector<int32_t>> query_ids;     // encoder inputs, with </s>
  std::vector<std::vector<int32_t>> response_ids;  // without the decoder start token; not empty

  [[nodiscard]] size_t size() const { return query_ids.size(); }
  // Query and response tokens of a row.
  [[nodiscard]] size_t tokens(size_t row) const {
    return query_ids[row].size() + response_ids[row].size();
  }
  // The sum over all rows.
  [[nodiscard]] size_t tokens() const {
    size_t all = 0;
    for (size_t row = 0; row < size(); ++row) all += tokens(row);
    return all;
  }
};

// What is computed of each response token; what is not asked for stays empty.
struct EvaluationTask {
  Sequences sequences;
  bool values = false;              // of the value head
  bool logprobs = false;            // of the current weights
  bool reference_logprobs = false;  // of the reference
  bool full_kl = false;             // KL(current, reference) over the vocabulary
  // PpoConfig::precision: of the model that computes it.
  nn::WeightType precision = nn::WeightType::kFloat32;

  // Whose pass it takes.
  [[nodiscard]] bool needs_current() const { return values || logprobs || full_kl; }
  [[nodiscard]] bool needs_reference() const { return reference_logprobs || full_kl; }
};
struct Evaluation {
  Rows values, logprobs, reference_logprobs, full_kl;
  friend bool operator==(const Evaluation&, const Evaluation&) = default;
};

// A mini-batch, or an aligned group of its rows. Everything but `loss` and `scale` has a row for
// each sequence, with a number for each response token.
struct GradientTask {
  Sequences sequences;
  MaskRows mask;
  Rows old_logprobs, old_values, advantages, returns;
  Rows importance_weights;  // empty: all 1
  LossOptions loss;
  double scale = 1;  // of the gradient: 1 / counted positions makes it that of the mean
  nn::WeightType precision = nn::WeightType::kFloat32;  // as EvaluationTask's
};
struct GradientAnswer {
  Rows logprobs, values, entropies;  // of the new policy, before its update
  // The gradient of scale * N * loss, N the counted positions: A and B of each adapted module, the
  // modules in name order, then the value head's weight and bias. The sequences' own gradients are
  // summed as base/sum_tree.h has it (on CUDA: as autograd sums).
  std::vector<float> gradient;
  friend bool operator==(const GradientAnswer&, const GradientAnswer&) = default;
};

// Rows [first, last).
[[nodiscard]] EvaluationTask SliceOf(const EvaluationTask& task, size_t first, size_t last);
[[nodiscard]] GradientTask SliceOf(const GradientTask& task, size_t first, size_t last);

// Losses of the task's rows, given what the answer says of them.
[[nodiscard]] Losses LossesOf(const GradientTask& task, const GradientAnswer& answer);

// The trainer's own node, as a GroupSource sees it. One call at a time, from any thread; throws
// what ATen throws.
class LocalGroups {
 public:
  virtual ~LocalGroups() = default;
  [[nodiscard]] virtual Evaluation Evaluate(const EvaluationTask& task) = 0;
  [[nodiscard]] virtual GradientAnswer Gradient(const GradientTask& task) = 0;
  // Copies of what the tasks of this call are computed with. Also while the others compute.
  [[nodiscard]] virtual TrainedWeights Current() const = 0;
  [[nodiscard]] virtual TrainedWeights Reference() const = 0;
  // Numbers of a gradient.
  [[nodiscard]] virtual size_t parameters() const = 0;
};

// Where a trainer has its work done, `local` included. Each answer is the same to the bit as if
// `local` had done all of it, which Confirm makes sure of. An error ends the step.
class GroupSource {
 public:
  virtual ~GroupSource() = default;
  // One for each task.
  [[nodiscard]] virtual absl::StatusOr<std::vector<Evaluation>> Evaluate(
      LocalGroups* local, absl::Span<const EvaluationTask> tasks) = 0;
  [[nodiscard]] virtual absl::StatusOr<GradientAnswer> Gradient(LocalGroups* local,
                                                                const GradientTask& task) = 0;
  // After the last of a step, whose weights count only when this is OK. Aborted: who helped cannot
  // be relied on; the step is to be done again from where it began.
  [[nodiscard]] virtual absl::Status Confirm(LocalGroups* local) = 0;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_GROUP_WORK_H_
