#ifndef MELLOW_COMMON_SYNC_PLACES_H_
#define MELLOW_COMMON_SYNC_PLACES_H_

#include <cstddef>

namespace mellow {

// Places in one lane of an engine's queue, for jobs that are still being made: held until the
// engine takes them over with the jobs, or until it is destroyed, which must be before the engine
// is. `Engine` makes it, and gets them back by GiveBack(lane, count).
template <typename Engine, typename Lane>
class Places {
 public:
  ~Places() { engine_->GiveBack(lane_, count_); }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

 private:
  friend Engine;
  Places(Engine* engine, Lane lane, size_t count) : engine_(engine), lane_(lane), count_(count) {}
  Engine* const engine_;
  const Lane lane_;
  size_t count_;
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_PLACES_H_
