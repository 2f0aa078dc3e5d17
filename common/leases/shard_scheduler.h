#ifndef MELLOW_COMMON_LEASES_SHARD_SCHEDULER_H_
#define MELLOW_COMMON_LEASES_SHARD_SCHEDULER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace mellow {

// Who computes which shard of one step. Pure: no threads, no clock of its own, same calls give same
// answers. Not thread-safe.
//
// Nodes pull, but a free node does not get a shard just because it is free: the pending shards are
// laid out over all nodes, each on the node that would finish it first given what that node has in
// flight (earliest completion time, list scheduling). So shares are proportional to speed, and a
// slow node leaves the last shard to a fast one that is busy but would still finish it sooner. A
// shard is done when the first answer for it comes, whoever's.
class ShardScheduler {
 public:
  struct Lease {
    int64_t id = 0;  // unique in this scheduler
    int shard = 0;
    std::string node;
    SteadyTime deadline;
  };

  enum class Completion {
    kFirst,      // this answer counts
    kDuplicate,  // another answer came first
  };

  // `work`: per shard, what it takes, in the unit of the nodes' speed times seconds (tokens,
  // texts). A lease that is older than `lease` goes to another node; one of a node whose speed was
  // measured as soon as it takes kLeaseFactor times as long as it should, but not before
  // kShortestLease. Without `offered`, a shard waits until Offer.
  ShardScheduler(std::vector<double> work, absl::Duration lease, bool offered = true);
  static constexpr double kLeaseFactor = 4;
  static constexpr absl::Duration kShortestLease = absl::Seconds(1);

  // The shard may be leased from now on.
  void Offer(int shard);

  // A node that may get leases: new, or with another speed or capacity. `speed` <= 0: unknown,
  // taken as the mean of the others. `measured`: by leases, not said. `capacity`: shards at once.
  void SetNode(const std::string& node, double speed, bool measured, int capacity);
  // A node that may get none for now; what it has in flight goes on.
  void PauseNode(const std::string& node);

  // A lease that should start now, or none (nothing pending, or waiting is faster).
  std::optional<Lease> Next(SteadyTime now);
  // Leases whose deadline has passed: their shards are pending again, their nodes get nothing until
  // they answer or fail. Each is returned once. A late answer still counts if it is the first.
  std::vector<Lease> Expire(SteadyTime now);

  // The answer of a lease came, however late: its shard is done now.
  Completion Complete(const Lease& lease);
  // The call of a lease failed, or its node is gone: the shard is pending again. Repeating it
  // changes nothing.
  void Fail(int64_t lease);
  // From an earlier life: needs nobody.
  void MarkDone(int shard);

  bool done() const { return remaining_ == 0; }
  int remaining() const { return remaining_; }
  int pending() const { return static_cast<int>(pending_.size()); }
  bool shard_done(int shard) const { return done_[shard]; }
  // Leases in flight for a shard that is done: their calls may be cancelled.
  std::vector<int64_t> Obsolete() const;
  // When Next or Expire may say something new although nothing happened.
  SteadyTime NextEvent(SteadyTime now) const;

 private:
  struct Node {
    double speed = 0;
    bool measured = false;
    int capacity = 1;
    bool eligible = true;
    std::vector<int64_t> flights;
    int late = 0;  // of those
  };
  struct Flight {
    Lease lease;
    SteadyTime start;
    bool expired = false;
  };

  // What a node is taken for whose speed is not known.
  double MeanSpeed() const;
  // How long the node may take for the shard before another one gets it too.
  absl::Duration LeaseOf(const Node& node, int shard) const;
  // When a flight is expected to end: by its node's speed; once overdue, as much later as it is
  // overdue.
  SteadyTime ExpectedEnd(const Flight& flight, double speed, SteadyTime now) const;
  Lease Launch(std::deque<int>::iterator shard, const std::string& name, SteadyTime now);
  void Land(std::map<int64_t, Flight>::iterator flight);
  // Puts a shard back in order, unless it is done or somebody else still has a valid lease.
  void Requeue(int shard);

  std::vector<double> work_;
  absl::Duration lease_duration_;
  std::vector<bool> done_;
  int remaining_;
  std::deque<int> pending_;  // ascending
  std::map<std::string, Node> nodes_;
  std::map<int64_t, Flight> flights_;
  int64_t next_lease_ = 1;
};

}  // namespace mellow

#endif  // MELLOW_COMMON_LEASES_SHARD_SCHEDULER_H_
