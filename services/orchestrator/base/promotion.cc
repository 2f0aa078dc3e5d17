#include "services/orchestrator/base/promotion.h"

namespace mellow::orchestrator {

std::vector<ChampionRecord> ChampionStack(const std::vector<PromotionEvent>& history) {
  std::vector<ChampionRecord> stack;
  for (const PromotionEvent& event : history) {
    if (event.action == PromotionAction::kRollBack) {
      if (!stack.empty()) stack.pop_back();
    } else if (event.champion) {
      // One whose files had to be mended was promoted again, and is one champion all the same.
      if (!stack.empty() && stack.back().ref == event.champion->ref) stack.pop_back();
      stack.push_back(*event.champion);
    }
  }
  return stack;
}

}  // namespace mellow::orchestrator
