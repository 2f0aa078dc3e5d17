#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_METHOD_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_METHOD_H_

#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// What a run manager knows of PPO, of supervised fine-tuning, of any other way to train: one run's
// settings, ready to be driven. Used by one thread at a time, but for OnStep.
class RunMethod {
 public:
  virtual ~RunMethod() = default;

  [[nodiscard]] virtual Method method() const = 0;
  // What the nodes that are there say against the run before it is made: InvalidArgument names
  // field and value. A node that is away says nothing; the run waits for it.
  [[nodiscard]] virtual absl::Status Check(std::stop_token stop) = 0;
  // The run to its end, from wherever the ledger says that it is.
  //   OK: it is done. Cancelled: it was asked to end, or ended itself, as a stopped run, for the
  //   reason in the message. ResourceExhausted: this process's own disk is
  //   full, and the run may be driven again when there is room. Anything else: it cannot go on.
  [[nodiscard]] virtual absl::Status Drive(const std::string& run_id, RunObserver* observer,
                                           RunSignals signals) = 0;
  // For the metrics and the log: a step was committed; the run's state has changed.
  virtual void OnStep(const std::string& run_id, const StepRecord& step) = 0;
  virtual void OnState(const std::string& run_id, RunState state) = 0;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_METHOD_H_
