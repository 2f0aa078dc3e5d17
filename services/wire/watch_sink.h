#ifndef MELLOW_SERVICES_WIRE_WATCH_SINK_H_
#define MELLOW_SERVICES_WIRE_WATCH_SINK_H_

#include <string>

namespace mellow::wire {

// Gets what happens in a run while somebody watches. The functions return false when nobody listens
// anymore.
template <typename StepT, typename EndedT>
class WatchSink {
 public:
  using Step = StepT;
  using Ended = EndedT;

  virtual ~WatchSink() = default;
  virtual bool OnStep(const Step& step) = 0;
  virtual bool OnActivity(const std::string& activity) = 0;
  virtual bool OnEnded(const Ended& run) = 0;
  [[nodiscard]] virtual bool cancelled() const = 0;
};

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_WATCH_SINK_H_
