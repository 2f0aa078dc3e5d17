#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_ADAPTER_PUBLISHER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_ADAPTER_PUBLISHER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/rollouts/prompt_source.h"
#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/learner_run.h"

namespace mellow::orchestrator {

// Brings a run's weights from its learner to the policies: the adapter's files go to the store with
// a model card, what a policy must answer with them (the canary) into the ledger, and the adapter
// becomes the supervisor's target. Each call may be repeated after a crash at any point of it.
// Only the driver's thread calls it.
class AdapterPublisher {
 public:
  // What the parts point at, the config and the observer must outlive it.
  AdapterPublisher(const DriverParts& parts, std::string run_id, const RunConfig& config,
                   RunObserver* observer, RunSignals signals);

  // The policies' precision where it is not the one that the run trains in, else (and at first)
  // empty.
  void SetOtherPrecision(std::string precision) { other_precision_ = std::move(precision); }
  const std::string& other_precision() const { return other_precision_; }
  // Largest difference between a policy's log-probs and the learner's.
  [[nodiscard]] double PolicyBound() const;

  // Makes `weights`, which the learner has as its current ones, what the policies serve, if they do
  // not yet, and returns the name under which they have it. `trained_steps` of the run made them.
  // Returns when one policy node passed. Cancelled: asked to end. FailedPrecondition with `first`:
  // every node was tried and none passed, so it is not the nodes that are wrong.
  [[nodiscard]] absl::StatusOr<AdapterRef> Serve(const AdapterRef& weights, int trained_steps,
                                                 absl::Span<const Prompt> prompts, bool first,
                                                 LearnerRun* learner);
  // The same of what `step` has just trained from `rollouts`. Of the run's adapters before it the
  // newest stay (DriverParts::keep_adapters), and the one of `start_version` where the KL is
  // measured against that.
  [[nodiscard]] absl::Status Publish(int step, const AdapterRef& adapter,
                                     const std::vector<Rollout>& rollouts, int64_t start_version,
                                     LearnerRun* learner);

 private:
  // The version under which policies take the weights: their own, or a new one when another run has
  // published since, because policies take no version older than their newest.
  absl::StatusOr<AdapterRef> NameFor(const AdapterRef& weights) const;
  // What the ledger has of the weights that sample, made and recorded when it has nothing.
  absl::StatusOr<AdapterRecord> RecordOf(const AdapterRef& weights, int trained_steps,
                                         absl::Span<const Prompt> prompts,
                                         LearnerRun* learner) const;
  std::string CardOf(int step, const AdapterRef& adapter, const adapters::PeftFiles& files) const;
  absl::Status WaitSettled(const std::string& doing, bool first) const;
  absl::Status RemoveOldAdapters(int64_t start_version) const;

  const DriverParts parts_;
  const std::string run_id_;
  const RunConfig& config_;
  RunObserver* const observer_;
  const RunSignals signals_;
  std::string other_precision_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_ADAPTER_PUBLISHER_H_
