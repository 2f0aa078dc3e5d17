#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_SFT_DRIVER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_SFT_DRIVER_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/learner_calls.h"

namespace mellow::orchestrator {

// One supervised run: the learner trains it by itself, this starts it there, follows its steps into
// the ledger, and starts it again, after a pause, when the learner was away, has forgotten it or
// has ended it for a reason that passes (retry.h). A learner that follows another orchestrator
// refuses. A step that comes again (the learner goes on from its newest checkpoint) changes
// nothing. The learner goes on when this process dies: the next one follows it from the last step
// in the ledger. Used by one thread.
class SftDriver {
 public:
  // `spec`: learner's SftSpec, serialized. `parts` and `observer` must outlive it.
  SftDriver(const DriverParts& parts, std::string run_id, std::string spec, RunObserver* observer,
            RunSignals signals);

  // As RunMethod::Drive. A run that is asked to stop has stopped at the learner, after the step in
  // progress and with a checkpoint, when this returns; unless the learner is away.
  [[nodiscard]] absl::Status Run();

 private:
  // From StartSft to the run's end.
  absl::StatusOr<SftAnswer> Follow();
  // What the ledger said to it is in kept_.
  absl::Status StartAt(const NodeHandle& node, std::stop_token stop);
  // Ends the run at the learner; how it ended there. `asked`: what is returned when it is not
  // there.
  absl::StatusOr<SftAnswer> Stop(const absl::Status& asked);
  absl::StatusOr<SftAnswer> WatchAt(const NodeHandle& node, std::stop_token stop);

  const DriverParts parts_;
  const std::string run_id_;
  const std::string spec_;
  RunObserver* const observer_;
  const RunSignals signals_;
  LearnerCalls calls_;
  int last_step_ = kBeforeAllSteps;  // in the ledger
  absl::Status kept_;                // what the ledger said to the newest write
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_SFT_DRIVER_H_
