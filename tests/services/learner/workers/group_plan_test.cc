#include "services/learner/workers/group_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/base/sum_tree.h"

namespace mellow::learner {
namespace {

// Whether [first, last) is a node of the tree over [from, to).
bool IsNode(size_t first, size_t last, size_t from, size_t to) {
  if (first == from && last == to) return true;
  if (to - from < 2) return false;
  const size_t middle = MiddleOf(from, to);
  return last <= middle ? IsNode(first, last, from, middle)
                        : first >= middle && IsNode(first, last, middle, to);
}

TEST(PlanPiecesTest, PiecesAreNodesThatHoldEachRowOnce) {
  const std::vector<std::vector<double>> tokens = {{300, 200, 400, 100, 250}, {500}, {10, 20, 30}};
  for (const std::vector<double>& speeds :
       {std::vector<double>{1}, {1, 1}, {3, 1, 1}, {1, 2, 3, 4, 5, 6, 7}}) {
    const std::vector<Piece> pieces = PlanPieces(tokens, speeds);
    std::map<size_t, std::set<size_t>> rows;
    for (const Piece& piece : pieces) {
      EXPECT_TRUE(IsNode(piece.first, piece.last, 0, tokens[piece.task].size()));
      double sum = 0;
      for (size_t row = piece.first; row < piece.last; ++row) {
        EXPECT_TRUE(rows[piece.task].insert(row).second);
        sum += tokens[piece.task][row];
      }
      EXPECT_EQ(sum, piece.tokens);
    }
    for (size_t task = 0; task < tokens.size(); ++task)
      EXPECT_EQ(rows[task].size(), tokens[task].size());
    EXPECT_TRUE(std::is_sorted(pieces.begin(), pieces.end(),
                               [](const Piece& a, const Piece& b) { return a.tokens > b.tokens; }));
  }
}

TEST(PlanPiecesTest, OneNodeComputesWholeTasksAndTwoAlikeTakeHalves) {
  EXPECT_EQ(PlanPieces({{300, 300, 300, 300}}, {1}).size(), 1u);
  const std::vector<Piece> halves = PlanPieces({{300, 300, 300, 300}}, {1, 1});
  ASSERT_EQ(halves.size(), 2u);
  EXPECT_EQ(halves[0].tokens, 600);
  EXPECT_EQ(halves[1].tokens, 600);
}

TEST(PlanPiecesTest, ASlowNodeGetsASmallPieceOrNone) {
  // A third of the speed: a quarter of the rows.
  const std::vector<Piece> pieces = PlanPieces({{300, 300, 300, 300}}, {3, 1});
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].tokens, 600);
  EXPECT_EQ(pieces[2].tokens, 300);
  EXPECT_EQ(PlanPieces({{300, 300}}, {1, 0.01}).size(), 1u) << "waiting for it would take longer";
}

}  // namespace
}  // namespace mellow::learner
