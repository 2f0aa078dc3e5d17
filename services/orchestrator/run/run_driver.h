#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_DRIVER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_DRIVER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/steady_time.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/base/guard.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/rollouts/prompt_source.h"
#include "services/orchestrator/rollouts/rollout_collector.h"
#include "services/orchestrator/run/adapter_publisher.h"
#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/learner_run.h"

namespace mellow::orchestrator {

// The steps of one PPO run, from wherever the ledger says it is. Everything between two writes to
// the ledger may be done again: rollouts are keyed, Train and PublishAdapter are idempotent. So a
// crash at any point costs time, never a rollout, and the adapters are the same as without it.
//
// With max_staleness 0 a step's rollouts are sampled by the adapter of the step before. With more,
// step s+1 is sampled while step s trains, by the adapter of step s-1: always exactly one version
// old (never more, whatever the limit), so that results do not depend on timing.
//
// Where the run has a guard, each step is shown to it before its adapter is published. A step that
// it finds bad is committed with the finding (GuardTrip) and served by nobody. Steps are numbered
// on; the next one begins with the good weights, which the learner forks from their checkpoint into
// a run of its own (the run's id and "-guard1") and the policies get under a new version, so that
// what went wrong is not the newest anywhere. The learner keeps as many checkpoints as that needs.
class RunDriver {
 public:
  RunDriver(const DriverParts& parts, std::string run_id, RunConfig config,
            const PromptSource* prompts, RunObserver* observer, RunSignals signals);

  // OK: every step is committed. Cancelled: asked to end, or stopped by its guard, which the
  // message says. Anything else: the run cannot go on.
  [[nodiscard]] absl::Status Run();

 private:
  // The models of the run's nodes: those of the ledger, or those that are there now.
  absl::Status Pin();
  // Records who has worked for the run, and warns when that makes it not repeatable.
  absl::Status NoteDevices(const Collected& collected);
  absl::Status Open();
  // The run at the learner, as of the last trip.
  absl::Status OpenAtLearner();
  // After a step with a trip: serves what the run went back to, unless the learner has trained the
  // next step with it. Cancelled: the run ends there.
  absl::Status Heed();
  // Takes the finding of `step` into the record.
  absl::Status Trip(const GuardFinding& finding, StepRecord* record);
  absl::Status Step(int step);
  // Trains, and meanwhile, with lag, collects the next step into next_.
  absl::StatusOr<TrainAnswer> Train(int step, std::vector<Rollout> rollouts);
  // LearnerRun::History of this run: from the ledger.
  absl::StatusOr<std::optional<TrainedStep>> TrainedAfter(int last_step);
  // Committed steps before the weights that the run began with, or went back to, were trained.
  int since() const { return trips_.empty() ? 0 : trips_.back().step; }
  // These weights.
  const AdapterRef& begun_with() const { return trips_.empty() ? start_ : trips_.back().good; }
  // The weights that sample `step`.
  AdapterRef WeightsFor(int step) const;
  int lag() const { return config_.max_staleness > 0 ? 1 : 0; }
  bool stopping() const {
    return signals_.stop.stop_requested() || signals_.shutdown.stop_requested();
  }

  // What the KL is measured against, when policy nodes may compute its log-probs; none: the learner
  // does.
  std::optional<AdapterRef> Reference() const;
  // The same with its files, if nodes have to score `weights`' rollouts under it: what it sampled
  // itself has its log-probs already.
  std::optional<ReferenceWeights> ReferenceFor(const AdapterRef& weights);
  // The step as the learner gets it. `rollouts` were sampled by WeightsFor(step).
  TrainCall CallFor(int step, std::vector<Rollout> rollouts, int64_t new_version) const;
  // What CollectStep needs; the step's adapter is on the nodes when there is something left to
  // sample.
  absl::StatusOr<CollectTask> Prepare(int step);
  CollectorParts PartsFor(RunObserver* observer) const;
  absl::StatusOr<Collected> Collect(const CollectTask& task, RunObserver* observer) const;
  // AdapterPublisher::Serve of the weights that the run, or its part since the last trip, began
  // with or samples by.
  absl::StatusOr<AdapterRef> Serve(const AdapterRef& weights, absl::Span<const Prompt> prompts);
  absl::Status RunSelfTest(const std::vector<Rollout>& rollouts);

  const DriverParts parts_;
  const std::string run_id_;
  RunConfig config_;
  const PromptSource* const prompts_;
  JoinedActivity activity_;  // the step, and with lag the collection of the next
  RunObserver* const observer_ = activity_.first();
  const RunSignals signals_;
  AdapterPublisher publisher_;
  std::optional<LearnerRun> learner_;
  AdapterRef start_;
  RunPins pins_;
  // Whether the policy nodes have the learner's base model in its precision: then the numbers that
  // they compute of the same weights are the learner's.
  bool nodes_have_learners_model_ = false;
  // The learner's newest value head, and the weights that it goes with.
  struct {
    AdapterRef weights;
    std::string bytes;
  } value_head_;
  std::optional<ReferenceWeights> reference_;  // once it was read
  std::vector<AdapterRef> adapters_;           // by step - 1, committed ones
  std::optional<Guard> guard_;
  std::vector<GuardTrip> trips_;
  std::optional<AdapterRef> trained_;  // of the step after those, once the learner has trained it
  int learner_step_ = 0;               // steps that the learner has recorded
  double response_tokens_mean_ = 0;    // of the last step; 0: none yet
  std::optional<Collected> next_;      // with lag: the rollouts of the next step
  std::stop_source abandon_;           // ends a collection ahead when the step fails
  const LinkedStop collect_shutdown_{signals_.shutdown, abandon_.get_token()};
  SteadyTime last_commit_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_RUN_DRIVER_H_
