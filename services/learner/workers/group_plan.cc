#include "services/learner/workers/group_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "common/base/sum_tree.h"

namespace mellow::learner {
namespace {

// About what W^T of a layer takes beside products of one row with W, forward and backward.
constexpr double kTokensOfAPass = 32;

// When the last piece ends: each in order to the node that would end it first.
double EndOf(const std::vector<Piece>& pieces, const std::vector<double>& speeds) {
  std::vector<double> free_at(speeds.size());
  double last = 0;
  for (const Piece& piece : pieces) {
    size_t best = 0;
    double best_end = std::numeric_limits<double>::infinity();
    for (size_t node = 0; node < speeds.size(); ++node) {
      const double end = free_at[node] + (piece.tokens + kTokensOfAPass) / speeds[node];
      if (end >= best_end) continue;
      best_end = end;
      best = node;
    }
    free_at[best] = best_end;
    last = std::max(last, best_end);
  }
  return last;
}

Piece MakePiece(const std::vector<std::vector<double>>& tokens, size_t task, size_t first,
                size_t last) {
  const auto begin = tokens[task].begin();
  return {task, first, last,
          std::accumulate(begin + static_cast<ptrdiff_t>(first),
                          begin + static_cast<ptrdiff_t>(last), 0.0)};
}

void Insert(const Piece& piece, std::vector<Piece>* pieces) {
  pieces->insert(
      std::upper_bound(pieces->begin(), pieces->end(), piece,
                       [](const Piece& a, const Piece& b) { return a.tokens > b.tokens; }),
      piece);
}

}  // namespace

std::vector<Piece> PlanPieces(const std::vector<std::vector<double>>& tokens,
                              const std::vector<double>& speeds) {
  std::vector<Piece> pieces;
  for (size_t task = 0; task < tokens.size(); ++task)
    Insert(MakePiece(tokens, task, 0, tokens[task].size()), &pieces);
  std::vector<Piece> best = pieces;
  double best_end = EndOf(pieces, speeds);
  const size_t most = std::max(tokens.size(), kMostPieces * speeds.size());
  while (speeds.size() > 1 && pieces.size() < most) {
    const auto large = std::find_if(pieces.begin(), pieces.end(), [](const Piece& piece) {
      return piece.last > piece.first + 1;
    });
    if (large == pieces.end()) break;
    const Piece whole = *large;
    pieces.erase(large);
    const size_t middle = MiddleOf(whole.first, whole.last);
    Insert(MakePiece(tokens, whole.task, whole.first, middle), &pieces);
    Insert(MakePiece(tokens, whole.task, middle, whole.last), &pieces);
    const double end = EndOf(pieces, speeds);
    if (end >= best_end) continue;
    best_end = end;
    best = pieces;
  }
  return best;
}

}  // namespace mellow::learner
