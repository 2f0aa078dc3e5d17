#include "services/orchestrator/run/sft_method.h"

#include <utility>
#include <vector>

#include "common/base/steady_time.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/retry.h"
#include "services/orchestrator/run/sft_driver.h"

namespace mellow::orchestrator {
namespace {

class SftMethod : public RunMethod {
 public:
  SftMethod(const DriverParts& parts, std::string spec) : parts_(parts), spec_(std::move(spec)) {}

  Method method() const override { return Method::kSft; }

  absl::Status Check(std::stop_token stop) override {
    const std::vector<NodeHandle> learners =
        parts_.registry->Ready(NodeRole::kLearner, SteadyTime::Now());
    if (learners.empty()) return absl::OkStatus();
    const NodeHandle& node = learners.front();
    const LinkedStop until(node.life, std::move(stop));
    absl::Status status =
        parts_.clients->Sft(node.node_id, node.address)->Check(spec_, until.token());
    // A learner that is away has not said no.
    if (RemedyFor(NodeRole::kLearner, status.code()) == Remedy::kAgain) return absl::OkStatus();
    return status;
  }

  absl::Status Drive(const std::string& run_id, RunObserver* observer,
                     RunSignals signals) override {
    return SftDriver(parts_, run_id, spec_, observer, std::move(signals)).Run();
  }

  // The learner's own metrics have the steps.
  void OnStep(const std::string&, const StepRecord&) override {}
  void OnState(const std::string& run_id, RunState state) override {
    parts_.metrics->SetRunState(run_id, Method::kSft, state);
  }

 private:
  const DriverParts parts_;
  const std::string spec_;
};

}  // namespace

std::unique_ptr<RunMethod> MakeSftMethod(const DriverParts& parts, std::string spec) {
  return std::make_unique<SftMethod>(parts, std::move(spec));
}

}  // namespace mellow::orchestrator
