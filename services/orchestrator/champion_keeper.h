#ifndef MELLOW_SERVICES_ORCHESTRATOR_CHAMPION_KEEPER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_CHAMPION_KEEPER_H_

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/peft.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/promotion.h"
#include "services/orchestrator/run_driver.h"

namespace mellow::orchestrator {

struct PromotionOrder {
  std::string request_id;
  // A kept version, whose hash must be this one unless it is empty; version 0: `files`, with this
  // hash.
  AdapterRef adapter;
  std::optional<adapters::PeftFiles> files;
  PromotionEvidence evidence;
};

// Moves the name "champion" and remembers where it was. A policy node tries an adapter before it
// is recorded; from then on the supervisor gives it to every node that is or comes. Thread-safe:
// one change at a time.
class ChampionKeeper {
 public:
  // What they point to must outlive it.
  explicit ChampionKeeper(const DriverParts& parts) : parts_(parts) {}

  // Gives the recorded champion to the supervisor. To be called once, before the first node.
  [[nodiscard]] absl::Status Recover();
  // Ends calls to nodes that are in progress, and refuses what comes (Unavailable).
  void Shutdown() { shutdown_.request_stop(); }

  // The event that is in the history now. A request_id that is known is answered from there.
  // InvalidArgument: no request_id, or an adapter that the nodes do not take; NotFound: the version
  // is not kept (those that are, are named); FailedPrecondition: it has another hash; DataLoss: the
  // bytes have; Unavailable: no policy node can try it.
  [[nodiscard]] absl::StatusOr<PromotionEvent> Promote(const PromotionOrder& order);
  // FailedPrecondition: there is no champion.
  [[nodiscard]] absl::StatusOr<PromotionEvent> RollBack(const std::string& request_id,
                                                        const std::string& reason);
  // Oldest first.
  [[nodiscard]] absl::StatusOr<std::vector<PromotionEvent>> History() const;

 private:
  struct Candidate {
    ChampionRecord record;
    adapters::PeftFiles files;
  };

  absl::StatusOr<Candidate> Resolve(const PromotionOrder& order)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Candidate> FindKept(const AdapterRef& adapter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TryOnOneNode(const Candidate& candidate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the supervisor; none: no champion.
  absl::Status Serve(const std::optional<ChampionRecord>& champion)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const DriverParts parts_;
  std::stop_source shutdown_;
  Mutex mutex_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_CHAMPION_KEEPER_H_
