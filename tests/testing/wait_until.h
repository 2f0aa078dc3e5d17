#ifndef MELLOW_TESTS_TESTING_WAIT_UNTIL_H_
#define MELLOW_TESTS_TESTING_WAIT_UNTIL_H_

#include <poll.h>

#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace mellow::testing {

// For what another thread or process is about to do: false when it has not within `limit`.
template <typename Condition>
[[nodiscard]] bool WaitUntil(const Condition& condition, absl::Duration limit = absl::Seconds(60)) {
  const SteadyTime deadline = SteadyTime::Now() + limit;
  while (!condition()) {
    if (SteadyTime::Now() > deadline) return false;
    poll(nullptr, 0, 10);
  }
  return true;
}

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_WAIT_UNTIL_H_
