#ifndef MELLOW_SERVICES_LEARNER_WORKERS_GROUP_PLAN_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_GROUP_PLAN_H_

#include <cstddef>
#include <vector>

namespace mellow::learner {

// Rows [first, last) of a task, a node of its tree (base/sum_tree.h).
struct Piece {
  size_t task = 0;
  size_t first = 0;
  size_t last = 0;
  double tokens = 0;
};

// How tasks are cut for nodes of these speeds (tokens per second, at least one of them), the
// largest piece first: of the cuts that come from halving the largest piece again and again, up to
// kMostPieces a node, the one that would be done first. `tokens`: of each row of each task, at
// least one row each. A piece costs a few tokens more than its rows, because a pass turns the
// model's weights around for its backward pass.
inline constexpr size_t kMostPieces = 4;
[[nodiscard]] std::vector<Piece> PlanPieces(const std::vector<std::vector<double>>& tokens,
                                            const std::vector<double>& speeds);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_GROUP_PLAN_H_
