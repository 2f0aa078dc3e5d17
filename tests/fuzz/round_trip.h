#ifndef MELLOW_TESTS_FUZZ_ROUND_TRIP_H_
#define MELLOW_TESTS_FUZZ_ROUND_TRIP_H_

#include <cstdlib>
#include <string>

namespace mellow {

// Aborts unless what `read` accepts is written in a way that is accepted and writes the same.
template <typename Read, typename Write>
void CheckRoundTrip(const std::string& text, const Read& read, const Write& write) {
  const auto first = read(text);
  if (!first.ok()) return;
  const std::string written = write(*first);
  const auto second = read(written);
  if (!second.ok() || write(*second) != written) std::abort();
}

}  // namespace mellow

#endif  // MELLOW_TESTS_FUZZ_ROUND_TRIP_H_
