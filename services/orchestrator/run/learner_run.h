#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_LEARNER_RUN_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_LEARNER_RUN_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "services/orchestrator/base/run_observer.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/orchestrator/run/learner_calls.h"

namespace mellow::orchestrator {

// A step that was trained before, and the weights that came of it.
struct TrainedStep {
  TrainCall call;
  AdapterRef adapter;
};

// One run at the learner, whatever happens to the learner: calls wait for as long as it is away,
// and a learner that restarted gets the run opened again first. One that came back with fewer steps
// than it has trained (its newest checkpoint is damaged) trains them again, from the same rollouts
// to the same hash. Every call that it makes may be repeated. Used by one thread.
//   Cancelled: the run was asked to end. FailedPrecondition: training a step again gave other
//   weights. Anything else: the learner refused, and would again.
class LearnerRun {
 public:
  // The step after `last_step`, when it has been trained before; none: it is the next to train.
  // An error when it was trained and its rollouts are not kept anymore.
  using History = std::function<absl::StatusOr<std::optional<TrainedStep>>(int last_step)>;

  // All must outlive it.
  LearnerRun(OpenCall open, History history, NodeRegistry* registry, NodeClients* clients,
             RunObserver* observer, RunSignals signals);

  // The state of the run at the learner, as of the newest OpenRun.
  [[nodiscard]] absl::StatusOr<OpenAnswer> Open();
  // `prefix` of the activity texts: "step 3: train".
  [[nodiscard]] absl::StatusOr<TrainAnswer> Train(const TrainCall& call, const std::string& prefix);
  [[nodiscard]] absl::StatusOr<AdapterAnswer> GetAdapter(int64_t version);
  [[nodiscard]] absl::StatusOr<PairScores> ScoreTokens(const std::vector<TokenPair>& pairs,
                                                       bool reference);

 private:
  // `call` on a learner that has the run open, as LearnerCalls::Call.
  template <typename Answer>
  absl::StatusOr<Answer> Call(
      const std::string& doing,
      const std::function<absl::StatusOr<Answer>(LearnerClient*, std::stop_token)>& call);
  // With the learner workers that are there now.
  absl::StatusOr<TrainAnswer> TrainOn(LearnerClient* client, TrainCall call, std::stop_token stop);
  // OpenRun, when this process of the learner was not asked yet, and whatever it has lost.
  absl::Status OpenOn(const NodeHandle& node, LearnerClient* client, std::stop_token stop);

  const OpenCall open_;
  const History history_;
  NodeRegistry* const registry_;
  NodeClients* const clients_;
  RunObserver* const observer_;
  LearnerCalls calls_;
  std::string opened_;  // incarnation that has the run open; empty: none
  OpenAnswer state_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_LEARNER_RUN_H_
