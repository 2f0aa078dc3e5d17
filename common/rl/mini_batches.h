#ifndef MELLOW_COMMON_RL_MINI_BATCHES_H_
#define MELLOW_COMMON_RL_MINI_BATCHES_H_

#include <cstddef>
#include <vector>

namespace mellow::rl {

// The rows of a mini-batch in an order in which the two halves of every node of its tree
// (base/sum_tree.h) cost about the same, so that nodes can be given to machines of one speed. The
// largest first, each to the half that costs less so far and has room. `cost`: of each row of the
// batch. Depends on these alone.
[[nodiscard]] std::vector<int> BalancedOrder(std::vector<int> rows,
                                             const std::vector<size_t>& cost);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_MINI_BATCHES_H_
