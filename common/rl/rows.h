#ifndef MELLOW_COMMON_RL_ROWS_H_
#define MELLOW_COMMON_RL_ROWS_H_

#include <cstdint>
#include <vector>

namespace mellow::rl {

// One number per response position, one row per rollout. Rows are ragged: row i has as many
// positions as response i has tokens, and position t belongs to the action that emits response
// token t.
using Rows = std::vector<std::vector<float>>;

// The mask of rows has their shape: 1 where the position counts. Values at positions that do not
// count are never read into a sum (selected, not multiplied away), so an infinity there harms
// nobody.
using MaskRows = std::vector<std::vector<uint8_t>>;

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_ROWS_H_
