#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_PROMOTION_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_PROMOTION_H_

// The history of champions: what Summarize serves when nobody asks for a version, since when, and
// on what grounds. Plain values.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

struct PromotionGate {
  std::string name;
  bool passed = false;
  std::string detail;  // with the figures, for people
  bool operator==(const PromotionGate&) const = default;
};

// What the evaluation said.
struct PromotionEvidence {
  std::string evaluation_name;
  std::string evaluation_sha256;  // of its configuration; empty: there was none
  std::vector<PromotionGate> gates;
  bool forced = false;  // although a gate failed
  std::string reason;   // in the words of who did it
  bool operator==(const PromotionEvidence&) const = default;
};

enum class PromotionAction { kPromote = 1, kRollBack = 2 };

// The adapter that policies were told to serve to users, with what proves that they do. Version 0
// is the base model, and has nothing else.
struct ChampionRecord {
  AdapterRef ref;
  std::string run_id;  // that made it; empty: it came from a folder
  std::string folder;  // PEFT folder of the adapter store
  CanarySuite canary;  // without pairs: no learner has scored it

  [[nodiscard]] bool IsBase() const { return ref.version == 0; }
};

// One line of the history.
struct PromotionEvent {
  int64_t sequence = 0;  // given by the ledger
  std::string request_id;
  absl::Time time;
  PromotionAction action = PromotionAction::kPromote;
  std::optional<ChampionRecord> champion;  // afterwards
  std::optional<AdapterRef> previous;      // the champion before
  PromotionEvidence evidence;
};

// The champions that are still in force, the current one last: a promotion adds one (one that is
// the current one already takes its place), a roll-back takes the last one away. Empty: the base
// model is. `history` is in order.
[[nodiscard]] std::vector<ChampionRecord> ChampionStack(const std::vector<PromotionEvent>& history);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_PROMOTION_H_
