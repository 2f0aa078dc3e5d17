#ifndef MELLOW_COMMON_RPC_CLIENT_LIMITS_H_
#define MELLOW_COMMON_RPC_CLIENT_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/base/token_bucket.h"
#include "common/sync/mutex.h"

namespace mellow::rpc {

// How much one client may ask for. A call counts as the work that it asks for (texts to score,
// prompts to answer), at least as one. Thread-safe. Remembers at most `max_clients`: for a new one,
// that which has been quiet for longest and has no call in progress is forgotten.
class ClientLimits {
 public:
  struct Options {
    double rate = 0;      // calls per second on average, twice as many at once; 0: no limit
    int concurrency = 0;  // calls in progress, or one that alone counts as more; 0: no limit
    size_t max_clients = 4096;
  };
  struct Decision {
    std::string
        refusal;  // empty: go on, and Leave when done. Else "rate", "concurrency", "clients"
    absl::Duration wait;  // when another try is worth it; zero: not known
  };

  explicit ClientLimits(Options options) : options_(options) {}

  [[nodiscard]] Decision Enter(const std::string& client, SteadyTime now, int64_t work = 1);
  // `work` as it was given to Enter.
  void Leave(const std::string& client, int64_t work = 1);

  const Options& options() const { return options_; }

 private:
  struct Client {
    std::string name;
    TokenBucket bucket;
    int64_t calls = 0;  // what they count as
  };
  using Clients = std::list<Client>;

  // Null: the table is full of clients with calls in progress.
  Client* Find(const std::string& name, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  Mutex mutex_;
  Clients clients_ ABSL_GUARDED_BY(mutex_);  // the last that asked is the first
  std::unordered_map<std::string, Clients::iterator> by_name_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CLIENT_LIMITS_H_
