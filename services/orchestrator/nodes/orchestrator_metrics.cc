#include "services/orchestrator/nodes/orchestrator_metrics.h"

namespace mellow::orchestrator {
namespace {

struct PpoGauge {
  const char* name;
  const char* help;
  const char* stat;  // of the learner, by TRL's name
};

constexpr PpoGauge kPpoGauges[] = {
    {"mellow_ppo_objective_kl", "KL to the reference, nats per sequence", "objective/kl"},
    {"mellow_ppo_objective_kl_coef", "Coefficient of the KL penalty", "objective/kl_coef"},
    {"mellow_ppo_returns_mean", "Mean return per token", "ppo/returns/mean"},
    {"mellow_ppo_advantages_mean", "Mean whitened advantage", "ppo/policy/advantages_mean"},
    {"mellow_ppo_value_loss", "Value loss", "ppo/loss/value"},
    {"mellow_ppo_policy_loss", "Clipped policy loss", "ppo/loss/policy"},
    {"mellow_ppo_clip_fraction", "Share of tokens whose ratio was clipped", "ppo/policy/clipfrac"},
    {"mellow_ppo_entropy", "Entropy of the policy, nats per token", "ppo/policy/entropy"},
};

}  // namespace

OrchestratorMetrics::OrchestratorMetrics(obs::Metrics* metrics) : metrics_(metrics) {
  // Rates need a start at zero.
  for (const char* result : {"done", "duplicate", "failed", "late", "lost"}) {
    metrics_->AddCounter("mellow_orchestrator_leases_total", "Shard leases by outcome",
                         {{"result", result}});
  }
  (void)CanaryFailures("");
  OtherModel("").Set(0);
  CountRollouts(0);
  CountScores(0);
}

void OrchestratorMetrics::SetStep(const StepRecord& step) {
  for (const PpoGauge& gauge : kPpoGauges) {
    // A scalar that the learner did not report is not a zero.
    if (step.stats.contains(gauge.stat)) {
      metrics_->AddGauge(gauge.name, gauge.help).Set(step.Stat(gauge.stat));
    }
  }
  metrics_->AddGauge("mellow_ppo_score_mean", "Mean reward score of the step's rollouts")
      .Set(step.score_mean);
  metrics_->AddGauge("mellow_ppo_toxicity_mean", "Mean probability of the toxic label")
      .Set(step.toxicity_mean);
  metrics_->AddGauge("mellow_ppo_response_tokens_mean", "Mean length of the responses, tokens")
      .Set(step.response_tokens_mean);
  metrics_->AddGauge("mellow_ppo_rollout_tokens_per_second", "Sampled tokens per second")
      .Set(step.tokens_per_second);
  const char* kSecondsHelp = "Wall seconds of the last step, by phase";
  for (const auto& [phase, seconds] : step.phase_seconds) {
    metrics_->AddGauge("mellow_ppo_step_seconds", kSecondsHelp, {{"phase", phase}}).Set(seconds);
  }
  metrics_->AddGauge("mellow_ppo_step_seconds", kSecondsHelp, {{"phase", "total"}})
      .Set(step.seconds);
  metrics_->AddGauge("mellow_orchestrator_step", "Last committed step of the newest run")
      .Set(step.step);
  metrics_->AddGauge("mellow_orchestrator_adapter_version", "Adapter of the last committed step")
      .Set(static_cast<double>(step.adapter.version));
  metrics_
      ->AddGauge("mellow_orchestrator_rollout_staleness_versions",
                 "Versions between the weights that sampled the last step and those that trained")
      .Set(step.staleness);
}

void OrchestratorMetrics::SetRunState(RunState state) {
  for (const RunState each :
       {RunState::kRunning, RunState::kStopped, RunState::kDone, RunState::kFailed}) {
    metrics_
        ->AddGauge("mellow_orchestrator_run_state", "1 for the state of the newest PPO run",
                   {{"state", std::string(ToString(each))}})
        .Set(each == state ? 1 : 0);
  }
}

void OrchestratorMetrics::SetKlTarget(double target, bool reference_is_start) {
  for (const bool start : {true, false}) {
    metrics_
        ->AddGauge("mellow_ppo_kl_target",
                   "KL to the reference that the adaptive controller of the newest run steers to, "
                   "nats per sequence; 0 for a reference that is not the run's, and with a fixed "
                   "coefficient",
                   {{"reference", start ? "start" : "base"}})
        .Set(start == reference_is_start ? target : 0);
  }
}

void OrchestratorMetrics::SetChampion(const std::optional<AdapterRef>& champion) {
  metrics_->SetInfo("mellow_orchestrator_champion_info",
                    "What users get when they ask for no version",
                    {{"version", champion ? absl::StrCat(champion->version) : "none"},
                     {"hash", champion ? champion->sha256 : ""}});
}

void OrchestratorMetrics::SetTarget(const AdapterRef& target) {
  metrics_
      ->AddGauge("mellow_orchestrator_target_adapter_version",
                 "Adapter that every policy node has to have; 0: the base model alone")
      .Set(static_cast<double>(target.version));
}

void OrchestratorMetrics::SetNodes(const std::vector<NodeStatus>& nodes) {
  std::map<obs::Labels, int> counts;
  for (const NodeStatus& node : nodes) {
    for (const NodeState each : {NodeState::kReady, NodeState::kQuarantined, NodeState::kLost}) {
      counts[{{"role", std::string(ToString(node.report.role))},
              {"device", node.report.capacity.device},
              {"state", std::string(ToString(each))}}] += each == node.state ? 1 : 0;
    }
  }
  MutexLock lock(&mutex_);
  for (auto& [id, gauge] : other_models_) gauge.Set(0);
  for (const NodeStatus& node : nodes) {
    if (!node.other_model) continue;
    auto [it, added] = other_models_.try_emplace(node.report.node_id);
    if (added) it->second = OtherModel(node.report.node_id);
    it->second.Set(1);
  }
  for (auto& [labels, gauge] : node_gauges_) {
    if (!counts.contains(labels)) gauge.Set(0);
  }
  for (const auto& [labels, count] : counts) {
    auto [it, added] = node_gauges_.try_emplace(labels);
    if (added) {
      it->second = metrics_->AddGauge("mellow_orchestrator_nodes",
                                      "Registered nodes by role, device and state", labels);
    }
    it->second.Set(count);
  }
}

void OrchestratorMetrics::CountLease(absl::string_view result) {
  metrics_
      ->AddCounter("mellow_orchestrator_leases_total", "Shard leases by outcome",
                   {{"result", std::string(result)}})
      .Increment();
}

void OrchestratorMetrics::CountRollouts(int sampled) {
  metrics_->AddCounter("mellow_orchestrator_rollouts_total", "Rollouts recorded in the ledger")
      .Increment(sampled);
}

void OrchestratorMetrics::CountScores(int scored) {
  metrics_->AddCounter("mellow_orchestrator_scores_total", "Rollouts scored").Increment(scored);
}

obs::Gauge OrchestratorMetrics::OtherModel(const std::string& node) {
  return metrics_->AddGauge("mellow_orchestrator_node_has_other_model",
                            "1 while the node has another model, or precision, than the run pins",
                            {{"node", node}});
}

obs::Counter OrchestratorMetrics::CanaryFailures(const std::string& node) {
  return metrics_->AddCounter(
      "mellow_orchestrator_canary_failures_total",
      "Times that a policy node's log-probs or adapter were not the learner's, or a reward node's "
      "logits not the run's",
      {{"node", node}});
}

void OrchestratorMetrics::CountCanaryFailure(const std::string& node) {
  CanaryFailures(node).Increment();
}

}  // namespace mellow::orchestrator
