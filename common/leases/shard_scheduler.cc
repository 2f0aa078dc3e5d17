#include "common/leases/shard_scheduler.h"

#include <algorithm>
#include <set>
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
  Node& known = nodes_[node];
  known.speed = speed;
  known.measured = measured;
  known.capacity = std::max(1, capacity);
  known.eligible = true;
}

absl::Duration ShardScheduler::LeaseOf(const Node& node, int shard) const {
  if (!node.measured || node.speed <= 0) return lease_duration_;
  const absl::Duration own = absl::Seconds(kLeaseFactor * work_[shard] / node.speed);
  return std::min(lease_duration_, std::max(kShortestLease, own));
}

void ShardScheduler::PauseNode(const std::string& node) {
  if (const auto it = nodes_.find(node); it != nodes_.end()) it->second.eligible = false;
}

double ShardScheduler::MeanSpeed() const {
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

SteadyTime ShardScheduler::ExpectedEnd(const Flight& flight, double speed, SteadyTime now) const {
  const SteadyTime end = flight.start + absl::Seconds(work_[flight.lease.shard] / speed);
  return end >= now ? end : now + (now - end);
}

std::optional<ShardScheduler::Lease> ShardScheduler::Next(SteadyTime now) {
  const auto may_take = [](const Node& node) {
    return node.eligible && node.late == 0 && static_cast<int>(node.flights.size()) < node.capacity;
  };
  if (pending_.empty() || std::none_of(nodes_.begin(), nodes_.end(),
                                       [&](const auto& entry) { return may_take(entry.second); })) {
    return std::nullopt;
  }
  const double mean = MeanSpeed();
  // One slot for each shard that a node can have at once, free from the given time on.
  struct Slot {
    const std::string* node;
    double speed;
    SteadyTime free_at;
    bool free_now;
    SteadyTime earliest = {};  // when it would end the smallest shard
  };
  std::vector<Slot> slots;
  for (const auto& [name, node] : nodes_) {
    if (!node.eligible || node.late > 0) continue;
    const double speed = node.speed > 0 ? node.speed : mean;
    for (const int64_t id : node.flights) {
      slots.push_back({&name, speed, ExpectedEnd(flights_.at(id), speed, now), false});
    }
    for (int i = static_cast<int>(node.flights.size()); i < node.capacity; ++i) {
      slots.push_back({&name, speed, now, true});
    }
  }
  Slot* best = nullptr;
  SteadyTime best_end;
  const auto consider = [&](Slot* slot, int shard) {
    const SteadyTime end = slot->free_at + absl::Seconds(work_[shard] / slot->speed);
    // Among equals a free node comes first, and of those the faster one.
    if (best == nullptr || end < best_end ||
        (end == best_end && slot->free_now && !best->free_now)) {
      best = slot;
      best_end = end;
    }
  };
  for (Slot& slot : slots) consider(&slot, pending_.front());
  if (best->free_now) return Launch(pending_.begin(), *best->node, now);

  // Here a free node is left waiting, and all that is pending is laid out to see for how long. No
  // slot ends any shard earlier than it would end the smallest: in that order, the search for the
  // best slot of a shard soon has nothing better to find.
  const int smallest = *std::min_element(pending_.begin(), pending_.end(),
                                         [&](int x, int y) { return work_[x] < work_[y]; });
  std::set<std::pair<SteadyTime, Slot*>> order;
  const auto place = [&](Slot* slot) {
    slot->earliest = slot->free_at + absl::Seconds(work_[smallest] / slot->speed);
    order.emplace(slot->earliest, slot);
  };
  for (Slot& slot : slots) place(&slot);
  for (auto shard = pending_.begin(); shard != pending_.end(); ++shard) {
    best = nullptr;
    for (const auto& [earliest, slot] : order) {
      if (best != nullptr && (earliest > best_end || (earliest == best_end && best->free_now)))
        break;
      consider(slot, *shard);
    }
    if (best->free_now) return Launch(shard, *best->node, now);
    order.erase({best->earliest, best});
    best->free_at = best_end;
    place(best);
  }
  return std::nullopt;
}

ShardScheduler::Lease ShardScheduler::Launch(std::deque<int>::iterator shard,
                                             const std::string& name, SteadyTime now) {
  Node& node = nodes_.at(name);
  Flight flight;
  flight.lease = {next_lease_++, *shard, name, now + LeaseOf(node, *shard)};
  flight.start = now;
  node.flights.push_back(flight.lease.id);
  pending_.erase(shard);
  return flights_.emplace(flight.lease.id, flight).first->second.lease;
}

std::vector<ShardScheduler::Lease> ShardScheduler::Expire(SteadyTime now) {
  std::vector<Lease> late;
  for (auto& [id, flight] : flights_) {
    if (flight.expired || flight.lease.deadline > now || done_[flight.lease.shard]) continue;
    flight.expired = true;
    ++nodes_.at(flight.lease.node).late;
    late.push_back(flight.lease);
  }
  for (const Lease& lease : late) Requeue(lease.shard);
  return late;
}

ShardScheduler::Completion ShardScheduler::Complete(const Lease& lease) {
  if (const auto it = flights_.find(lease.id); it != flights_.end()) Land(it);
  if (done_[lease.shard]) return Completion::kDuplicate;
  MarkDone(lease.shard);
  return Completion::kFirst;
}

void ShardScheduler::Fail(int64_t lease) {
  const auto it = flights_.find(lease);
  if (it == flights_.end()) return;
  const int shard = it->second.lease.shard;
  Land(it);
  Requeue(shard);
}

void ShardScheduler::Land(std::map<int64_t, Flight>::iterator flight) {
  Node& node = nodes_.at(flight->second.lease.node);
  std::erase(node.flights, flight->first);
  node.late -= flight->second.expired ? 1 : 0;
  flights_.erase(flight);
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
  const double mean = pending_.empty() ? 1 : MeanSpeed();
  for (const auto& [id, flight] : flights_) {
    if (!flight.expired && !done_[flight.lease.shard]) next = std::min(next, flight.lease.deadline);
    // A node that turns out slower than thought changes who should take what is pending.
    if (!pending_.empty()) {
      const double known = nodes_.at(flight.lease.node).speed;
      const SteadyTime end = ExpectedEnd(flight, known > 0 ? known : mean, now);
      next = std::min(next, std::max(end, now + absl::Milliseconds(100)));
    }
  }
  return next;
}

}  // namespace mellow
