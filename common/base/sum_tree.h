#ifndef MELLOW_COMMON_BASE_SUM_TREE_H_
#define MELLOW_COMMON_BASE_SUM_TREE_H_

// The order in which gradients of several sequences are added: a binary tree over the sequences of
// a mini-batch, whose shape depends on their number alone. A node is the sum of the leaves [first,
// last): a single leaf, or the node of its first half (rounded up) plus the node of the rest.
// Floating-point addition is commutative, so whoever computes a node, of a tree of its own over
// these leaves, gets the bits that the whole tree has there: a mini-batch can be cut into nodes,
// computed anywhere, and added with the same result as in one place.

#include <cstddef>

namespace mellow {

// Where a node of the leaves [first, last), at least two, is divided.
template <typename Index>
constexpr Index MiddleOf(Index first, Index last) {
  return first + (last - first + 1) / 2;
}

// The slots that SumTree needs for `leaves` leaves.
constexpr int SumTreeSlots(size_t leaves) {
  int slots = 1;
  for (size_t width = 2; width <= leaves; width *= 2) ++slots;
  return slots;
}

// The sum of the leaves [first, last), at least one, left in `slot`. `make(first, last, slot)` puts
// that node into the slot, if it has it as a whole, or says false, which it may not for a single
// leaf; `add(slot)` adds slot + 1 to `slot`.
template <typename Index, typename Make, typename Add>
void SumTree(Index first, Index last, int slot, const Make& make, const Add& add) {
  if (make(first, last, slot)) return;
  const Index middle = MiddleOf(first, last);
  SumTree(first, middle, slot, make, add);
  SumTree(middle, last, slot + 1, make, add);
  add(slot);
}

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_SUM_TREE_H_
