#include "services/orchestrator/run/ppo_method.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/retry.h"
#include "services/orchestrator/rollouts/prompt_source.h"
#include "services/orchestrator/rollouts/request_bytes.h"
#include "services/orchestrator/rollouts/reward_text.h"
#include "services/orchestrator/run/run_driver.h"

namespace mellow::orchestrator {
namespace {

class PpoMethod : public RunMethod {
 public:
  PpoMethod(const DriverParts& parts, RunConfig config, std::unique_ptr<PromptSource> prompts)
      : parts_(parts), config_(std::move(config)), prompts_(std::move(prompts)) {}

  Method method() const override { return Method::kPpo; }

  absl::Status Check(std::stop_token stop) override {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<Prompt> prompts, StepPrompts(*prompts_, config_, 1));
    MELLOW_ASSIGN_OR_RETURN(
        const RequestBytes bytes,
        LargestRequests(config_, *parts_.tokenizer, parts_.decoder_start_token_id, prompts));
    MELLOW_RETURN_IF_ERROR(CheckNodes(bytes));
    MELLOW_RETURN_IF_ERROR(CheckLabels(stop));
    return CheckAtLearner(std::move(stop));
  }

  absl::Status Drive(const std::string& run_id, RunObserver* observer,
                     RunSignals signals) override {
    parts_.metrics->SetKlTarget(run_id, config_.kl_target, config_.reference_is_start);
    RunDriver driver(parts_, run_id, config_, prompts_.get(), observer, std::move(signals));
    absl::Status status = driver.Run();
    parts_.supervisor->SetPins({});
    return status;
  }

  void OnStep(const std::string& run_id, const StepRecord& step) override {
    parts_.metrics->SetStep(run_id, step);
    obs::Log(obs::Severity::kInfo, "step committed",
             {{"run", run_id},
              {"step", step.step},
              {"adapter", step.adapter.version},
              {"sha256", step.adapter.sha256},
              {"score_mean", step.score_mean},
              {"toxicity_mean", step.toxicity_mean},
              {"seconds", step.seconds}});
  }

  void OnState(const std::string& run_id, RunState state) override {
    parts_.metrics->SetRunState(run_id, Method::kPpo, state);
  }

 private:
  // InvalidArgument when there are live nodes of a role and none can do the run's requests.
  absl::Status CheckNodes(const RequestBytes& bytes) const {
    std::map<NodeRole, absl::Status> refusals;
    for (const NodeStatus& node : parts_.registry->List()) {
      const NodeRole role = node.report.role;
      const bool asked = role == NodeRole::kPolicy || role == NodeRole::kReward ||
                         role == NodeRole::kLearner ||
                         (role == NodeRole::kJudge && config_.guard && config_.guard->judge);
      if (node.state == NodeState::kLost || !asked) continue;
      const absl::Status fits = config_.CheckFits(node.report, bytes);
      const auto it = refusals.emplace(role, fits).first;
      if (fits.ok()) it->second = fits;
    }
    for (const auto& [role, refusal] : refusals) MELLOW_RETURN_IF_ERROR(refusal);
    return absl::OkStatus();
  }

  absl::Status CheckLabels(std::stop_token stop) const {
    const RewardConfig& reward = config_.reward;
    if (const auto labels = LabelsOf(NodeRole::kReward, stop)) {
      MELLOW_RETURN_IF_ERROR(FindLabel("reward.label", reward.label, *labels).status());
      if (!reward.toxic_label.empty()) {
        MELLOW_RETURN_IF_ERROR(
            FindLabel("reward.toxic_label", reward.toxic_label, *labels).status());
      }
    }
    if (!config_.guard || !config_.guard->judge) return absl::OkStatus();
    const std::string& label = config_.guard->judge->label;
    if (const auto labels = LabelsOf(NodeRole::kJudge, std::move(stop)))
      return FindLabel("guard.judge.label", label.empty() ? reward.label : label, *labels).status();
    return absl::OkStatus();
  }

  // None: no node says it now; the scores will tell.
  std::optional<std::vector<std::string>> LabelsOf(NodeRole role, std::stop_token stop) const {
    const std::vector<NodeHandle> nodes = parts_.registry->Ready(role, SteadyTime::Now());
    if (nodes.empty()) return std::nullopt;
    absl::StatusOr<std::vector<std::string>> labels =
        parts_.clients->Reward(nodes.front().node_id, nodes.front().address)
            ->Labels(absl::Seconds(5), std::move(stop));
    if (!labels.ok()) return std::nullopt;
    return *std::move(labels);
  }

  absl::Status CheckAtLearner(std::stop_token stop) const {
    const std::vector<NodeHandle> learners =
        parts_.registry->Ready(NodeRole::kLearner, SteadyTime::Now());
    if (learners.empty()) return absl::OkStatus();
    const NodeHandle& node = learners.front();
    const LinkedStop until(node.life, std::move(stop));
    const absl::Status status = parts_.clients->Learner(node.node_id, node.address)
                                    ->Check(config_.ppo, config_.start_adapter, until.token());
    // A learner that is away has not said no, and one of an earlier version cannot.
    if (status.ok() || absl::IsUnimplemented(status) ||
        RemedyFor(NodeRole::kLearner, status.code()) == Remedy::kAgain)
      return absl::OkStatus();
    return absl::InvalidArgumentError(status.message());
  }

  const DriverParts parts_;
  const RunConfig config_;
  const std::unique_ptr<PromptSource> prompts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RunMethod>> MakePpoMethod(const DriverParts& parts,
                                                         const RunConfig& config) {
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<PromptSource> prompts,
                          OpenPromptSource(config, parts.tokenizer));
  return std::make_unique<PpoMethod>(parts, config, std::move(prompts));
}

}  // namespace mellow::orchestrator
