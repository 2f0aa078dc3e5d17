#ifndef MELLOW_COMMON_RL_POLICY_PASSES_H_
#define MELLOW_COMMON_RL_POLICY_PASSES_H_

// Forward passes of the policy and the reference over packed rollouts.

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/torch/lm_head.h"
#include "common/nn/torch/torch_t5.h"
#include "common/rl/rows.h"

namespace mellow::rl {

// Some rollouts as the model reads them. Decoder input of a response is the start token and the response without its last
// token, so that position t predicts response token t.
struct PackedRollouts {
  nn::PackedIds source;
  nn::PackedIds target;
  at::Tensor actions;  // [target tokens] int64: the response tokens
};

struct RolloutIds {
  absl::Span<const int32_t> query;
  absl::Span<const int32_t> response;  // not empty
};

[[nodiscard]] PackedRollouts PackRollouts(absl::Span<const RolloutIds> rollouts, int32_t start_token,
                                          at::Device device);

// The decoder's final hidden states, [target tokens, d_model]; with autograd when gradients are enabled.
[[nodiscard]] at::Tensor Trunk(nn::TorchT5* model, const PackedRollouts& rollouts,
                               const nn::TorchLora& lora);

// A tensor of one number per packed position cut into one row per rollout, and back.
[[nodiscard]] Rows ToRows(const at::Tensor& packed, const std::vector<int64_t>& lengths);
[[nodiscard]] at::Tensor FromRows(const Rows& rows, at::Device device);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_POLICY_PASSES_H_
