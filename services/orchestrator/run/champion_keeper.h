#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_CHAMPION_KEEPER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_CHAMPION_KEEPER_H_

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/peft.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/promotion.h"
#include "services/orchestrator/run/driver_parts.h"

namespace mellow::orchestrator {

struct PromotionOrder {
  std::string request_id;
  // A kept version, whose hash must be this one unless it is empty; version 0: `files`, with this
  // hash.
  AdapterRef adapter;
  std::optional<adapters::PeftFiles> files;
  bool base = false;  // the base model instead
  PromotionEvidence evidence;
};

// Moves the name "champion" and remembers where it was. A policy node tries an adapter before it
// is recorded; from then on the supervisor gives it to every node that is or comes. Thread-safe:
// one change at a time, but nothing waits for a node that tries an adapter.
class ChampionKeeper {
 public:
  // What `parts` point to must outlive it.
  explicit ChampionKeeper(const DriverParts& parts) : parts_(parts) {}

  // Gives the recorded champion, or that there is none, to the supervisor: a node may serve one
  // that was tried and never recorded. One whose files are gone or damaged stands in nobody's way:
  // what a roll-back would serve is served instead (Trouble). To be called once, before the first
  // node. Errors of the ledger.
  [[nodiscard]] absl::Status Recover();
  // What is served instead of the recorded champion, and why; empty: that one is.
  [[nodiscard]] std::string Trouble();
  // Ends calls to nodes that are in progress, and refuses what comes (Unavailable).
  void Shutdown() { shutdown_.request_stop(); }

  // The event that is in the history now. A request_id that is known is answered from there.
  // InvalidArgument: no request_id, or an adapter that the nodes do not take; NotFound: the version
  // is not kept (those that are, are named); FailedPrecondition: it has another hash, or is the
  // champion already; DataLoss: the bytes have another hash; Unavailable: no policy node can try
  // it, or it is recorded and a node that serves has not taken it yet (named; OK means that all
  // have).
  [[nodiscard]] absl::StatusOr<PromotionEvent> Promote(const PromotionOrder& order);
  // Before the first champion stands the base model. FailedPrecondition: nothing was promoted, or
  // all of it was rolled back; Unavailable: as Promote.
  [[nodiscard]] absl::StatusOr<PromotionEvent> RollBack(const std::string& request_id,
                                                        const std::string& reason);
  // Oldest first.
  [[nodiscard]] absl::StatusOr<std::vector<PromotionEvent>> History() const;

 private:
  struct Candidate {
    ChampionRecord record;
    std::shared_ptr<const adapters::PeftFiles> files;
  };

  // What can be promoted without bytes, by version, those of runs without their canaries; with
  // `former` also the champions whose bytes are not kept anymore.
  absl::StatusOr<std::map<int64_t, ChampionRecord>> Known(bool former)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The event, once every live policy node serves it or has been tried.
  absl::StatusOr<PromotionEvent> WhenServed(PromotionEvent event);
  absl::StatusOr<Candidate> Resolve(const PromotionOrder& order)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What came as bytes has no canary of a learner's: what the node that tries it says to fixed
  // texts is what every other node has to say. InvalidArgument: log-probs that are not finite.
  absl::StatusOr<CanarySuite> MakeCanary(PolicyClient* client, int64_t version);
  // Whether a second of `nodes` says the same as the first; OK also when none of them answers.
  // InvalidArgument: all that answer differ.
  absl::Status Confirm(const AdapterTarget& candidate, const NodeHandle& first,
                       const std::vector<NodeHandle>& nodes);
  // Completes its canary.
  absl::Status TryOnOneNode(Candidate* made);
  // FailedPrecondition: the candidate (the base model, when the order says so) is the champion
  // already.
  absl::Status CheckIsAnother(const PromotionOrder& order, const Candidate& candidate,
                              const std::optional<ChampionRecord>& current)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From its own copy, or from that of the run that made it.
  absl::StatusOr<adapters::PeftFiles> Read(const ChampionRecord& champion) const;
  // Tells the supervisor; none: the base model.
  absl::Status Serve(const std::optional<ChampionRecord>& champion)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Serves the champion that the history says, and removes the folders of those that a roll-back
  // cannot go to anymore.
  absl::Status ServeNewest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What Promote and RollBack do but for the wait until it is served.
  absl::StatusOr<PromotionEvent> RecordPromotion(const PromotionOrder& order);
  absl::StatusOr<PromotionEvent> RecordRollBack(const std::string& request_id,
                                                const std::string& reason);
  // The event of a request that was recorded before. When serving it failed then, it is done now.
  absl::StatusOr<PromotionEvent> Again(const PromotionEvent& known)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const DriverParts parts_;
  std::stop_source shutdown_;
  Mutex mutex_;
  // The history may say another champion than the supervisor was told of.
  bool unserved_ ABSL_GUARDED_BY(mutex_) = false;
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_CHAMPION_KEEPER_H_
