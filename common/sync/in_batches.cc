#include "common/sync/in_batches.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "common/sync/mutex.h"

namespace mellow {

absl::Status InBatches(size_t count, size_t batch, int threads,
                       const std::function<absl::Status(size_t, size_t)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mutex;
  absl::Status first;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) {
      workers.emplace_back([&] {
        for (size_t begin = next.fetch_add(batch); begin < count && !failed;
             begin = next.fetch_add(batch)) {
          const absl::Status status =
              Caught([&] { return work(begin, std::min(begin + batch, count)); });
          if (status.ok()) continue;
          failed = true;
          MutexLock lock(&mutex);
          first.Update(status);
        }
      });
    }
  }
  return first;
}

}  // namespace mellow
