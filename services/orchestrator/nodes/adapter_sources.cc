#include "services/orchestrator/nodes/adapter_sources.h"

#include <algorithm>
#include <set>
#include <utility>

namespace mellow::orchestrator {
namespace {

// Transfers that count, and when the first of them stops to.
int Busy(const std::map<int64_t, SteadyTime>& transfers, SteadyTime now, SteadyTime* first) {
  int busy = 0;
  for (const auto& [id, until] : transfers) {
    if (until <= now) continue;
    ++busy;
    *first = std::min(*first, until);
  }
  return busy;
}

}  // namespace

AdapterSources::Spread* AdapterSources::Known(const AdapterRef& ref) {
  for (Spread& spread : spreads_) {
    if (spread.ref == ref) return &spread;
  }
  return nullptr;
}

AdapterSources::Spread* AdapterSources::Find(const AdapterRef& ref) {
  if (Spread* const known = Known(ref); known != nullptr) return known;
  spreads_.push_back({.ref = ref});
  if (spreads_.size() > kSpreads) spreads_.pop_front();
  return &spreads_.back();
}

const std::string* AdapterSources::Free(Spread* spread, bool direct, SteadyTime now,
                                        SteadyTime* retry_at) {
  static const std::string kThisProcess;
  // Nodes first: this process sends to others only while nobody else can.
  if (!direct && !spread->nodes.empty()) {
    for (const auto& [address, transfers] : spread->nodes) {
      if (Busy(transfers, now, retry_at) < kBranch) return &address;
    }
    return nullptr;
  }
  return Busy(spread->direct, now, retry_at) < kDirect ? &kThisProcess : nullptr;
}

SteadyTime AdapterSources::Grant() {
  const SteadyTime now = SteadyTime::Now();
  SteadyTime retry_at = SteadyTime::InfiniteFuture();
  std::set<std::pair<int64_t, bool>> full;  // what was looked for in vain: hundreds want the same
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    Waiter* const waiter = *it;
    const std::pair<int64_t, bool> wanted = {waiter->ref.version, waiter->direct};
    Spread* const spread = full.contains(wanted) ? nullptr : Find(waiter->ref);
    const std::string* const address =
        spread == nullptr ? nullptr
                          : Free(spread, waiter->direct || now < direct_until_, now, &retry_at);
    if (address == nullptr) {
      full.insert(wanted);
      ++it;
      continue;
    }
    waiter->place = Place{waiter->ref, *address, next_id_++};
    Transfers& transfers = address->empty() ? spread->direct : spread->nodes[*address];
    transfers[waiter->place->id] = now + kPatience;
    it = waiters_.erase(it);
    waiter->granted.NotifyOne();  // it cannot go away before the lock is given up
  }
  return retry_at;
}

absl::StatusOr<AdapterSources::Place> AdapterSources::Take(const AdapterRef& ref,
                                                           const std::string& receiver, bool direct,
                                                           std::stop_token stop) {
  Waiter self{.ref = ref, .direct = direct};
  const std::stop_callback wake(stop, [&] {
    { MutexLock lock(&mutex_); }  // it has seen the stop, or waits
    self.granted.NotifyOne();
  });
  MutexLock lock(&mutex_);
  Find(ref)->nodes.erase(receiver);
  waiters_.push_back(&self);
  while (true) {
    const SteadyTime retry_at = Grant();
    if (self.place) return *std::move(self.place);
    if (stop.stop_requested()) break;
    self.granted.WaitUntil(&mutex_, retry_at);
    if (self.place) return *std::move(self.place);
  }
  waiters_.remove(&self);
  return absl::CancelledError("waiting for somebody to get the adapter from");
}

void AdapterSources::Done(const Place& place, const std::string& receiver,
                          const absl::Status& status) {
  MutexLock lock(&mutex_);
  Spread* const spread = Known(place.ref);
  if (spread == nullptr) return;
  if (place.address.empty()) {
    spread->direct.erase(place.id);
  } else if (status.ok() || absl::IsCancelled(status)) {
    if (status.ok()) failures_ = 0;
    if (const auto it = spread->nodes.find(place.address); it != spread->nodes.end())
      it->second.erase(place.id);
  } else {
    spread->nodes.erase(place.address);
    if (!absl::IsNotFound(status) && ++failures_ >= kMaxFailures) {
      failures_ = 0;
      direct_until_ = SteadyTime::Now() + kDirectOnly;
    }
  }
  if (status.ok()) spread->nodes.try_emplace(receiver);
  Grant();
}

void AdapterSources::Add(const AdapterRef& ref, const std::string& address) {
  MutexLock lock(&mutex_);
  Find(ref)->nodes.try_emplace(address);
  Grant();
}

}  // namespace mellow::orchestrator
