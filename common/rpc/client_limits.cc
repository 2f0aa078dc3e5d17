#include "common/rpc/client_limits.h"

#include <algorithm>

#include "common/base/steady_time.h"

namespace mellow::rpc {
namespace {

// A second's worth would refuse a client that sends its calls of two seconds together.
constexpr double kBurstSeconds = 2;

}  // namespace

ClientLimits::Client* ClientLimits::Find(const std::string& name, SteadyTime now) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    clients_.splice(clients_.begin(), clients_, found->second);
    return &clients_.front();
  }
  if (clients_.size() >= options_.max_clients) {
    const auto quiet = std::find_if(clients_.rbegin(), clients_.rend(),
                                    [](const Client& client) { return client.calls == 0; });
    if (quiet == clients_.rend()) return nullptr;
    by_name_.erase(quiet->name);
    clients_.erase(std::next(quiet).base());
  }
  // A bucket without a limit is never asked; a small burst still lets one call through.
  const double rate = std::max(options_.rate, 1e-9);
  // Both or, where memory ends, neither has it.
  std::list<Client> added;
  added.push_front({name, TokenBucket(rate, std::max(1.0, rate * kBurstSeconds), now)});
  by_name_.emplace(name, added.begin());
  clients_.splice(clients_.begin(), added);
  return &clients_.front();
}

ClientLimits::Decision ClientLimits::Enter(const std::string& client, SteadyTime now,
                                           int64_t work) {
  MutexLock lock(&mutex_);
  Client* found = Find(client, now);
  if (found == nullptr) return {"clients", absl::ZeroDuration()};
  // Work that alone is over the limit would never be done: it gets its turn when there is no other.
  if (options_.concurrency > 0 && found->calls > 0 && found->calls + work > options_.concurrency)
    return {"concurrency", absl::ZeroDuration()};
  const double count = static_cast<double>(work);
  if (options_.rate > 0 && !found->bucket.Take(now, count))
    return {"rate", found->bucket.Wait(count)};
  found->calls += work;
  return {"", absl::ZeroDuration()};
}

void ClientLimits::Leave(const std::string& client, int64_t work) {
  MutexLock lock(&mutex_);
  // A client with a call in progress is never forgotten.
  by_name_.at(client)->calls -= work;
}

}  // namespace mellow::rpc
