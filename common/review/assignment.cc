#include "common/review/assignment.h"

#include <algorithm>

#include "common/base/philox.h"
#include "common/data/shuffle.h"

namespace mellow::review {
namespace {

// Keeps these numbers apart from others that are drawn with the same seed.
constexpr uint32_t kSideStream = 0x73696465;
constexpr uint64_t kOrderEpoch = uint64_t{1} << 32;

bool ArmFirst(uint64_t seed, uint32_t annotator, int64_t item) {
  const PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  return (Philox4x32({static_cast<uint32_t>(item), annotator, 0, kSideStream}, key)[0] & 1) != 0;
}

}  // namespace

std::vector<Assignment> AssignItems(absl::Span<const ItemCoverage> items, int64_t quota,
                                    uint64_t seed, uint32_t annotator) {
  std::vector<int64_t> chosen;
  std::vector<int64_t> others;
  for (size_t i = 0; i < items.size(); ++i)
    (items[i].shared ? chosen : others).push_back(static_cast<int64_t>(i));
  std::stable_sort(others.begin(), others.end(), [&items](int64_t a, int64_t b) {
    return items[a].annotators < items[b].annotators;
  });
  others.resize(std::min(others.size(), static_cast<size_t>(std::max<int64_t>(quota, 0))));
  chosen.insert(chosen.end(), others.begin(), others.end());
  std::vector<Assignment> assignments;
  for (const uint32_t i :
       data::Permutation(seed, kOrderEpoch + annotator, static_cast<uint32_t>(chosen.size()))) {
    assignments.push_back({.item = chosen[i], .arm_first = ArmFirst(seed, annotator, chosen[i])});
  }
  return assignments;
}

int64_t QuotaOf(int64_t rest, int64_t index, int64_t total) {
  return rest / total + (index < rest % total ? 1 : 0);
}

}  // namespace mellow::review
