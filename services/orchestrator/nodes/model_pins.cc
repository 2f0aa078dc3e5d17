#include "services/orchestrator/nodes/model_pins.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/nodes/wait_on_registry.h"

namespace mellow::orchestrator {
namespace {

// Two devices differ in the order of their sums: by less than 1e-4 of a logit in float32, by less
// than a tenth in what is shorter. Other weights differ by units.
double LogitBound(NodeRole role, const RunPins& pins) {
  const auto model = pins.models.find(role);
  return model == pins.models.end() || model->second.precision == "float32" ? 1e-2 : 0.25;
}
constexpr absl::Duration kScoreTimeout = absl::Minutes(1);

// The one model of the role's live nodes, or `preferred` when a node has that; none: there is no
// such node.
absl::StatusOr<std::optional<ModelPin>> ModelOf(NodeRole role, const NodeRegistry& registry,
                                                const std::optional<ModelPin>& preferred) {
  std::map<std::string, ModelPin> models;  // by node id
  for (const NodeStatus& node : registry.List()) {
    if (node.report.role != role || node.state == NodeState::kLost) continue;
    const ModelPin has = PinOf(node.report);
    if (preferred && has == *preferred) return preferred;
    models.emplace(node.report.node_id, has);
  }
  // A node of an older version says no hash: beside one that does, it is not the one to follow.
  if (std::any_of(models.begin(), models.end(),
                  [](const auto& entry) { return !entry.second.sha256.empty(); })) {
    std::erase_if(models, [](const auto& entry) { return entry.second.sha256.empty(); });
  }
  if (models.empty()) return std::optional<ModelPin>();
  const auto& [first, model] = *models.begin();
  for (const auto& [node_id, other] : models) {
    if (other == model) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "the ", ToString(role), " nodes have different models: ", first, " has ", ToString(model),
        ", ", node_id, " has ", ToString(other), "; a run needs one"));
  }
  return std::optional<ModelPin>(model);
}

std::vector<std::vector<float>> LogitsOf(const ScoreAnswer& answer) {
  std::vector<std::vector<float>> logits;
  for (const TextScore& score : answer.scores) logits.push_back(score.logits);
  return logits;
}

std::string ToxicLabelOf(const NodeHandle& node, const NodeRegistry& registry) {
  for (const NodeStatus& status : registry.List()) {
    if (status.report.node_id == node.node_id) return status.report.capacity.toxic_label;
  }
  return "";
}

// Asks a ready node of the role, a classifier's, until one answers.
absl::Status PinScoreCanary(NodeRole role, NodeRegistry* registry, NodeClients* clients,
                            RunObserver* observer, const std::stop_token& stop, RunPins* pins) {
  while (true) {
    std::vector<NodeHandle> ready;
    WaitOnRegistry(registry, stop, SteadyTime::InfiniteFuture(), [&] {
      ready = registry->Ready(role, SteadyTime::Now());
      if (!ready.empty()) return true;
      observer->OnActivity(
          absl::StrCat("waiting for a ", ToString(role), " node: ", registry->WhyNoneReady(role)));
      return false;
    });
    if (stop.stop_requested()) return AskedToStop();
    const NodeHandle& node = ready.front();
    const absl::StatusOr<ScoreAnswer> answer =
        ScoreCanaryTexts(clients->Reward(node.node_id, node.address).get(), stop);
    if (!answer.ok()) {
      if (stop.stop_requested()) return AskedToStop();
      obs::Log(obs::Severity::kWarning, "a node did not score the canary's texts",
               {{"role", ToString(role)},
                {"node", node.node_id},
                {"error", answer.status().ToString()}});
      registry->ReportFailure(node, SteadyTime::Now(), /*lease=*/false);
      continue;
    }
    pins->canaries[role] = {answer->labels, LogitsOf(*answer)};
    if (role == NodeRole::kReward) pins->toxic_label = ToxicLabelOf(node, *registry);
    // What is wrong with the first answer (labels, lengths, numbers) is so with every later one.
    return Annotate(CheckScoreCanary(role, *pins, *answer), node.node_id);
  }
}

}  // namespace

absl::StatusOr<ScoreAnswer> ScoreCanaryTexts(RewardClient* client, std::stop_token stop) {
  return client->Score(CanaryTexts(), kScoreTimeout, std::move(stop));
}

absl::Status CheckScoreCanary(NodeRole role, const RunPins& pins, const ScoreAnswer& answer) {
  const ScoreCanary& pinned = pins.canaries.at(role);
  const std::string canary = absl::StrCat(ToString(role), " canary: ");
  if (answer.labels != pinned.labels) {
    return absl::FailedPreconditionError(
        absl::StrCat(canary, "has labels ", absl::StrJoin(answer.labels, ", "), ", the run pins ",
                     absl::StrJoin(pinned.labels, ", ")));
  }
  // Logits are compared as log-probs are: one row per text, one number per label.
  const std::vector<std::vector<float>> logits = LogitsOf(answer);
  const absl::StatusOr<LogProbGap> gap = CompareLogProbs(logits, pinned.logits);
  if (!gap.ok() || logits.size() != CanaryTexts().size()) {
    return absl::FailedPreconditionError(
        absl::StrCat(canary, logits.size(), " texts were scored of ", CanaryTexts().size(),
                     ", or with another number of logits"));
  }
  const double bound = LogitBound(role, pins);
  if (gap->largest <= bound) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      canary, "logit differs by ", gap->largest, " (bound ", bound, ") at text ", gap->pair,
      ", label ", gap->token < pinned.labels.size() ? pinned.labels[gap->token] : "?"));
}

absl::StatusOr<RunPins> PinModels(RunPins pins, NodeRegistry* registry, NodeClients* clients,
                                  RunObserver* observer, bool judge, std::stop_token stop) {
  std::vector<NodeRole> roles = {NodeRole::kLearner, NodeRole::kPolicy, NodeRole::kReward};
  if (judge) roles.push_back(NodeRole::kJudge);
  for (const NodeRole role : roles) {
    if (pins.models.contains(role)) continue;
    // Where policies differ, the right one has the learner's weights.
    std::optional<ModelPin> preferred;
    const auto learner = pins.models.find(NodeRole::kLearner);
    if (role == NodeRole::kPolicy && learner != pins.models.end()) preferred = learner->second;
    absl::StatusOr<std::optional<ModelPin>> model = AskedToStop();
    WaitOnRegistry(registry, stop, SteadyTime::InfiniteFuture(), [&] {
      model = ModelOf(role, *registry, preferred);
      if (!model.ok() || *model) return true;
      observer->OnActivity(
          absl::StrCat("waiting for a ", ToString(role), " node: ", registry->WhyNoneReady(role)));
      return false;
    });
    MELLOW_RETURN_IF_ERROR(model.status());
    if (!*model) return AskedToStop();
    if ((*model)->sha256.empty()) {
      // Nothing to hold it to; the run pins it when it is opened again with nodes that say it.
      obs::Log(obs::Severity::kWarning, "the nodes do not say which model they have",
               {{"role", ToString(role)}});
      continue;
    }
    pins.models[role] = **std::move(model);
  }
  // Only nodes with the pinned model may be asked.
  registry->SetPins(pins.models);
  for (const NodeRole role : roles) {
    if ((role != NodeRole::kReward && role != NodeRole::kJudge) || pins.canaries.contains(role))
      continue;
    MELLOW_RETURN_IF_ERROR(PinScoreCanary(role, registry, clients, observer, stop, &pins));
  }
  return pins;
}

}  // namespace mellow::orchestrator
