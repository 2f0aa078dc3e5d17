#include "services/orchestrator/nodes/orchestrator_metrics.h"

#include <algorithm>

#include "services/orchestrator/base/guard.h"

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
    {"mellow_ppo_sampler_kl",
     "KL of samplers with other weights or precision to the learner, nats per token; 0 without any",
     "ppo/sampler_kl"},
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

OrchestratorMetrics::RunSeries* OrchestratorMetrics::SeriesOf(const std::string& run_id,
                                                              Method method) {
  for (RunSeries& series : runs_) {
    if (series.run_id == run_id) return &series;
  }
  const auto same = [method](const RunSeries& series) { return series.method == method; };
  if (static_cast<size_t>(std::count_if(runs_.begin(), runs_.end(), same)) == kShownRuns) {
    const auto oldest = std::find_if(runs_.begin(), runs_.end(), same);
    for (const auto& [key, gauge] : oldest->gauges) metrics_->Remove(key.first, gauge);
    runs_.erase(oldest);
  }
  runs_.push_back({.run_id = run_id, .method = method, .gauges = {}});
  return &runs_.back();
}

void OrchestratorMetrics::Set(RunSeries* series, const char* name, const char* help, double value,
                              obs::Labels labels) {
  const auto [it, added] = series->gauges.try_emplace({name, labels});
  if (added) {
    labels["run"] = series->run_id;
    it->second = metrics_->AddGauge(name, help, labels);
  }
  it->second.Set(value);
}

void OrchestratorMetrics::SetStep(const std::string& run_id, const StepRecord& step) {
  MutexLock lock(&mutex_);
  RunSeries* const series = SeriesOf(run_id);
  for (const PpoGauge& gauge : kPpoGauges) {
    // A scalar that the learner did not report is not a zero.
    if (step.stats.contains(gauge.stat)) Set(series, gauge.name, gauge.help, step.Stat(gauge.stat));
  }
  if (step.step == 1) {
    Set(series, "mellow_ppo_first_kl", "KL to the reference in the run's first step",
        step.Stat("objective/kl"));
  }
  Set(series, "mellow_ppo_score_mean", "Mean reward score of the step's rollouts", step.score_mean);
  Set(series, "mellow_ppo_toxicity_mean", "Mean probability of the toxic label",
      step.toxicity_mean);
  Set(series, "mellow_ppo_response_tokens_mean", "Mean length of the responses, tokens",
      step.response_tokens_mean);
  Set(series, "mellow_ppo_repetition_mean",
      "Mean share of the 4-grams of a response that came before in it", step.repetition_mean);
  if (step.judge) {
    Set(series, "mellow_ppo_judge_score_mean", "Mean score of the run's judge on its rollouts",
        step.judge->score_mean);
    Set(series, "mellow_ppo_judge_gap",
        "Rise of the mean score since the first steps beyond the judge's, each in standard "
        "deviations",
        step.judge->gap);
  }
  Set(series, "mellow_ppo_rollout_tokens_per_second", "Sampled tokens per second",
      step.tokens_per_second);
  constexpr char kSecondsHelp[] = "Wall seconds of the last step, by phase";
  for (const auto& [phase, seconds] : step.phase_seconds)
    Set(series, "mellow_ppo_step_seconds", kSecondsHelp, seconds, {{"phase", phase}});
  Set(series, "mellow_ppo_step_seconds", kSecondsHelp, step.seconds, {{"phase", "total"}});
  Set(series, "mellow_orchestrator_step", "Last committed step of the run", step.step);
  Set(series, "mellow_orchestrator_adapter_version", "Adapter of the last committed step",
      static_cast<double>(step.adapter.version));
  Set(series, "mellow_orchestrator_rollout_staleness_versions",
      "Versions between the weights that sampled the last step and those that trained",
      step.staleness);
}

void OrchestratorMetrics::SetRunState(const std::string& run_id, Method method, RunState state) {
  MutexLock lock(&mutex_);
  RunSeries* const series = SeriesOf(run_id, method);
  for (const RunState each :
       {RunState::kRunning, RunState::kStopped, RunState::kDone, RunState::kFailed}) {
    Set(series, "mellow_orchestrator_run_state",
        "1 for the state of a run, of whatever method; what else is shown of a run that is over is "
        "of its end",
        each == state ? 1 : 0, {{"state", std::string(ToString(each))}});
  }
  // A run that is resumed is the newest again.
  if (state == RunState::kRunning) newest_run_ = run_id;
  for (RunSeries& each : runs_)
    Set(&each, "mellow_orchestrator_newest_run", "1 for the run that was started or resumed last",
        each.run_id == newest_run_ ? 1 : 0);
}

void OrchestratorMetrics::SetKlTarget(const std::string& run_id, double target,
                                      bool reference_is_start) {
  MutexLock lock(&mutex_);
  RunSeries* const series = SeriesOf(run_id);
  for (const bool start : {true, false}) {
    Set(series, "mellow_ppo_kl_target",
        "KL to the reference that the adaptive controller of the run steers to, nats per "
        "sequence; 0 for a reference that is not the run's, and with a fixed coefficient",
        start == reference_is_start ? target : 0, {{"reference", start ? "start" : "base"}});
  }
}

void OrchestratorMetrics::SetGuardTrips(const std::string& run_id,
                                        const std::vector<GuardTrip>& trips) {
  MutexLock lock(&mutex_);
  RunSeries* const series = SeriesOf(run_id);
  for (const char* check : kGuardChecks) {
    Set(series, "mellow_ppo_guard_trips",
        "Times that the run's guard took it back, by the check that failed",
        static_cast<double>(
            std::count_if(trips.begin(), trips.end(),
                          [&](const GuardTrip& trip) { return trip.check == check; })),
        {{"check", check}});
  }
}

void OrchestratorMetrics::SetChampion(const std::optional<AdapterRef>& champion) {
  metrics_->SetInfo("mellow_orchestrator_champion_info",
                    "What users get when they ask for no version; none: the base model",
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
