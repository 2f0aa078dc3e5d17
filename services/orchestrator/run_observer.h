#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_OBSERVER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_OBSERVER_H_

#include <stop_token>
#include <string>

#include "services/orchestrator/types.h"

namespace mellow::orchestrator {

// How a run is asked to end.
struct RunSignals {
  std::stop_token stop;      // after the phase in progress; what was begun is finished and recorded
  std::stop_token shutdown;  // now: calls are cancelled; the run goes on when the process is back
};

// Who is told how a run goes. Called from several threads.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  // What it does now, for people: "step 3: generate 12/32".
  virtual void OnActivity(const std::string& activity) = 0;
  virtual void OnStep(const StepRecord& step) = 0;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_OBSERVER_H_
