#include "common/sync/clock_watch.h"

#include <chrono>
#include <utility>

namespace mellow {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(1);

// How far the wall clock is ahead of the monotonic one. Not by absl::Now(), which counts
// cycles and looks at the clock every few seconds.
absl::Duration Lead() {
  return absl::FromChrono(std::chrono::system_clock::now().time_since_epoch()) -
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

ClockWatch::ClockWatch(absl::Duration least, std::function<void(absl::Duration)> set_back)
    : least_(least), set_back_(std::move(set_back)), thread_([this] { Loop(); }) {}

ClockWatch::~ClockWatch() { stop_.Set(); }

void ClockWatch::Loop() {
  absl::Duration last = Lead();
  while (!stop_.WaitFor(kPeriod)) {
    const absl::Duration lead = Lead();
    if (last - lead >= least_) set_back_(last - lead);
    last = lead;
  }
}

}  // namespace mellow
