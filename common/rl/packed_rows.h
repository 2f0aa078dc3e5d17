#ifndef MELLOW_COMMON_RL_PACKED_ROWS_H_
#define MELLOW_COMMON_RL_PACKED_ROWS_H_

// Numbers of packed rollouts as rows.

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "common/rl/rows.h"

namespace mellow::rl {

// A tensor of one number per packed position cut into one row per rollout, and back.
[[nodiscard]] Rows ToRows(const at::Tensor& packed, const std::vector<int64_t>& lengths);
[[nodiscard]] at::Tensor FromRows(const Rows& rows, at::Device device);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_PACKED_ROWS_H_
