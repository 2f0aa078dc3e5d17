#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_ADAPTER_SOURCES_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_ADAPTER_SOURCES_H_

#include <list>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/steady_time.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// From whom a policy node gets an adapter, so that a thousand nodes do not get it from one: the
// first kDirect from this process, all others from nodes that have it, kBranch at a time each. So
// an adapter spreads in log_3(nodes / kDirect) rounds, and this process sends it a few times,
// however many nodes there are. Thread-safe.
class AdapterSources {
 public:
  static constexpr int kDirect = 8;
  static constexpr int kBranch = 2;
  // A transfer that takes longer does not count anymore: a hung node holds up nobody.
  static constexpr absl::Duration kPatience = absl::Seconds(3);
  // After so many nodes in a row could not get it from another one (a network that lets only the
  // orchestrator through), everybody gets it from this process for kDirectOnly: kDirect at a time.
  static constexpr int kMaxFailures = 8;
  static constexpr absl::Duration kDirectOnly = absl::Minutes(10);

  // A transfer's place at its source, until Done.
  struct Place {
    AdapterRef ref;
    std::string address;  // of the policy node that sends; empty: this process
    int64_t id = 0;
  };

  // Waits for a place for the node at `receiver`, which does not have it (anymore). `direct`: at
  // this process. Cancelled: `stop`.
  [[nodiscard]] absl::StatusOr<Place> Take(const AdapterRef& ref, const std::string& receiver,
                                           bool direct, std::stop_token stop);
  // The transfer to the node at `receiver` has ended. One that failed is not the fault of this
  // process, but maybe of the node that sent: nobody gets it from there again, and NotFound, which
  // says that it has it no more, is no failure of the network. Cancelled, which is given up here,
  // is nobody's fault.
  void Done(const Place& place, const std::string& receiver, const absl::Status& status);
  // The node at this address has it already.
  void Add(const AdapterRef& ref, const std::string& address);

 private:
  // Transfers in progress, by id: when each stops to count.
  using Transfers = std::map<int64_t, SteadyTime>;
  struct Spread {
    AdapterRef ref;
    Transfers direct;
    std::map<std::string, Transfers> nodes;  // that have it, by address
  };
  // Who waits in Take, first come first served.
  struct Waiter {
    const AdapterRef& ref;
    const bool direct;
    std::optional<Place> place;
    CondVar granted;
  };
  // Spreads of older adapters are forgotten.
  static constexpr size_t kSpreads = 4;

  // Null where it is forgotten.
  Spread* Known(const AdapterRef& ref) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Spread* Find(const AdapterRef& ref) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The address of a source with room; null: there is none before *retry_at, or before a change.
  static const std::string* Free(Spread* spread, bool direct, SteadyTime now, SteadyTime* retry_at);
  // Gives places to those who wait; returns when there may be one without a change.
  SteadyTime Grant() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::list<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  std::list<Spread> spreads_ ABSL_GUARDED_BY(mutex_);  // newest last
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row
  SteadyTime direct_until_ ABSL_GUARDED_BY(mutex_) = SteadyTime::InfinitePast();
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_ADAPTER_SOURCES_H_
