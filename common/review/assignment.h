#ifndef MELLOW_COMMON_REVIEW_ASSIGNMENT_H_
#define MELLOW_COMMON_REVIEW_ASSIGNMENT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace mellow::review {

// One item as one annotator gets it.
struct Assignment {
  int64_t item = 0;        // index of the study's item
  bool arm_first = false;  // the arm's summary is shown first, the baseline's second
};

struct ItemCoverage {
  bool shared = false;     // everybody rates it
  int64_t annotators = 0;  // who have it already
};

// The items of one more annotator: all shared ones, and `quota` of the others, those that the
// fewest annotators have (of equal ones the earlier), in an order of the annotator's own. Order and
// sides are counter-based draws of (seed, annotator, item): they depend on nothing else.
[[nodiscard]] std::vector<Assignment> AssignItems(absl::Span<const ItemCoverage> items,
                                                  int64_t quota, uint64_t seed, uint32_t annotator);

// How many of `rest` items that are not shared the annotator `index` of `total` gets: equal parts,
// the first ones one more.
[[nodiscard]] int64_t QuotaOf(int64_t rest, int64_t index, int64_t total);

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_ASSIGNMENT_H_
