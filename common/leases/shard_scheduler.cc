#include "common/leases/shard_scheduler.h"

#include <algorithm>
#include <utility>

#include "common/base/steady_time.h"

namespace mellow {

ShardScheduler::ShardScheduler(std::vector<double> work, absl::Duration lease, bool offered)
    : work_(std::move(work)),
      lease_duration_(lease),
      done_(work_.size(), false),
      remaining_(static_cast<int>(work_.size())) {
  for (int shard = 0; offered && shard < remaining_; ++shard) pending_.push_back(shard);
}

void ShardScheduler::Offer(int shard) { Requeue(shard); }

void ShardScheduler::SetNode(const std::string& node, double speed, bool measured, int capacity) {
  nodes_[node] = {speed, measured, std::max(1, capacity), /*eligible=*/true};
}

absl::Duration ShardScheduler::LeaseOf(const Node& node, int shard) const {
  if (!node.measured || node.speed <= 0) return lease_duration_;
  const absl::Duration own = absl::Seconds(kLeaseFactor * work_[shard] / node.speed);
  return std::min(lease_duration_, std::max(kShortestLease, own));
}

void ShardScheduler::PauseNode(const std::string& node) {
  if (const auto it = nodes_.find(node); it != nodes_.end()) it->second.eligible = false;
}

double ShardScheduler::SpeedOf(const Node& node) const {
  if (node.speed > 0) return node.speed;
  double sum = 0;
  int known = 0;
  for (const auto& [name, other] : nodes_) {
    if (other.speed > 0) {
      sum += other.speed;
      ++known;
    }
  }
  return known == 0 ? 1 : sum / known;
}

SteadyTime ShardScheduler::ExpectedEnd(const Flight& flight, SteadyTime now) const {
  const auto node = nodes_.find(flight.lease.node);
  const double speed = node == nodes_.end() ? 1 : SpeedOf(node->second);
  const SteadyTime end = flight.start + absl::Seconds(work_[flight.lease.shard] / speed);
  return end >= now ? end : now + (now - end);
}

std::optional<ShardScheduler::Lease> ShardScheduler::Next(SteadyTime now) {
  if (pending_.empty()) return std::nullopt;
  // One slot for each shard that a node can have at once, free from the given time on.
  struct Slot {
    const std::string* node;
    double speed;
    SteadyTime free_at;
    bool free_now;
  };
  std::vector<Slot> slots;
  for (const auto& [name, node] : nodes_) {
    if (!node.eligible) continue;
    std::vector<Slot> taken;
    bool late = false;
    for (const auto& [id, flight] : flights_) {
      if (flight.lease.node != name) continue;
      late = late || flight.expired;
      taken.push_back({&name, SpeedOf(node), ExpectedEnd(flight, now), false});
    }
    if (late) continue;
    slots.insert(slots.end(), taken.begin(), taken.end());
    for (int i = static_cast<int>(taken.size()); i < node.capacity; ++i) {
      slots.push_back({&name, SpeedOf(node), now, true});
    }
  }
  if (slots.empty()) return std::nullopt;
  for (auto shard = pending_.begin(); shard != pending_.end(); ++shard) {
    Slot* best = nullptr;
    SteadyTime best_end = SteadyTime::InfiniteFuture();
    for (Slot& slot : slots) {
      const SteadyTime end = slot.free_at + absl::Seconds(work_[*shard] / slot.speed);
      // Among equals a free node comes first, and of those the faster one.
      const bool better = end < best_end ||
                          (end == best_end && best != nullptr && slot.free_now && !best->free_now);
      if (best == nullptr || better) {
        best = &slot;
        best_end = end;
      }
    }
    if (best->free_now) {
      Flight flight;
      flight.lease = {next_lease_++, *shard, *best->node,
                      now + LeaseOf(nodes_.at(*best->node), *shard)};
      flight.start = now;
      pending_.erase(shard);
      return flights_.emplace(flight.lease.id, flight).first->second.lease;
    }
    best->free_at = best_end;
  }
  return std::nullopt;
}

std::vector<ShardScheduler::Lease> ShardScheduler::Expire(SteadyTime now) {
  std::vector<Lease> late;
  for (auto& [id, flight] : flights_) {
    if (flight.expired || flight.lease.deadline > now || done_[flight.lease.shard]) continue;
    flight.expired = true;
    late.push_back(flight.lease);
  }
  for (const Lease& lease : late) Requeue(lease.shard);
  return late;
}

ShardScheduler::Completion ShardScheduler::Complete(const Lease& lease) {
  flights_.erase(lease.id);
  if (done_[lease.shard]) return Completion::kDuplicate;
  MarkDone(lease.shard);
  return Completion::kFirst;
}

void ShardScheduler::Fail(int64_t lease) {
  const auto it = flights_.find(lease);
  if (it == flights_.end()) return;
  const int shard = it->second.lease.shard;
  flights_.erase(it);
  Requeue(shard);
}

void ShardScheduler::MarkDone(int shard) {
  if (done_[shard]) return;
  done_[shard] = true;
  --remaining_;
  pending_.erase(std::remove(pending_.begin(), pending_.end(), shard), pending_.end());
}

void ShardScheduler::Requeue(int shard) {
  if (done_[shard]) return;
  const auto place = std::lower_bound(pending_.begin(), pending_.end(), shard);
  if (place != pending_.end() && *place == shard) return;
  for (const auto& [id, flight] : flights_) {
    if (flight.lease.shard == shard && !flight.expired) return;
  }
  pending_.insert(place, shard);
}

std::vector<int64_t> ShardScheduler::Obsolete() const {
  std::vector<int64_t> ids;
  for (const auto& [id, flight] : flights_) {
    if (done_[flight.lease.shard]) ids.push_back(id);
  }
  return ids;
}

SteadyTime ShardScheduler::NextEvent(SteadyTime now) const {
  SteadyTime next = SteadyTime::InfiniteFuture();
  for (const auto& [id, flight] : flights_) {
    if (!flight.expired) next = std::min(next, flight.lease.deadline);
    // A node that turns out slower than thought changes who should take what is pending.
    if (!pending_.empty()) {
      next = std::min(next, std::max(ExpectedEnd(flight, now), now + absl::Milliseconds(100)));
    }
  }
  return next;
}

}  // namespace mellow
