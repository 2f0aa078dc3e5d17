#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_LEARNER_CALLS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_LEARNER_CALLS_H_

#include <functional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// The calls of one run to the learner, whatever happens to it: they wait for as long as it is not
// there. Used by one thread.
class LearnerCalls {
 public:
  // One try. `stop` stops when the learner is lost or says that it is stuck, and when the process
  // ends.
  using Attempt = std::function<absl::Status(const NodeHandle& node, std::stop_token stop)>;

  // All must outlive it.
  LearnerCalls(NodeRegistry* registry, RunObserver* observer, RunSignals signals)
      : registry_(registry), observer_(observer), signals_(std::move(signals)) {}

  // Tries until the answer is one that another try would not change, as retry.h says. `doing` is
  // for people: "step 3: train". `forget` is called before another try: what the learner had open
  // for the run is not to be relied on.
  //   Cancelled: the run was asked to end. Anything else: the learner refused, and would again.
  [[nodiscard]] absl::Status Call(const std::string& doing, const Attempt& attempt,
                                  const std::function<void()>& forget = {});

 private:
  NodeRegistry* const registry_;
  RunObserver* const observer_;
  const RunSignals signals_;
  Mailbox mailbox_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_LEARNER_CALLS_H_
