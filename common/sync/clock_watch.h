#ifndef MELLOW_COMMON_SYNC_CLOCK_WATCH_H_
#define MELLOW_COMMON_SYNC_CLOCK_WATCH_H_

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "common/sync/stop_event.h"

namespace mellow {

// Tells when the wall clock was set back, which the monotonic clock shows. Whoever waits for a
// moment of the wall clock (abseil's mutexes, and with them the timers of gRPC 1.51) then waits
// that much longer.
class ClockWatch {
 public:
  // `set_back` is called from a thread of this object, within about a second, with by how much: at
  // least `least`.
  ClockWatch(absl::Duration least, std::function<void(absl::Duration)> set_back);
  // Stops and joins.
  ~ClockWatch();
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;

 private:
  void Loop();

  const absl::Duration least_;
  const std::function<void(absl::Duration)> set_back_;
  StopEvent stop_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_CLOCK_WATCH_H_
