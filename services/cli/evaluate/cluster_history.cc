#include "services/cli/evaluate/cluster_history.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/wire/proto_json.h"

namespace mellow::cli {
namespace {

std::string StateWord(const std::string& enum_name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enum_name, prefix));
}

template <typename Run>
void SetTimes(const orchestrator::v1::Run& run, Run* out) {
  if (run.has_created()) out->begun_unix_seconds = run.created().seconds();
  if (run.has_ended()) out->ended_unix_seconds = run.ended().seconds();
}

report::AdapterId ToAdapterId(const common::v1::AdapterRef& adapter) {
  return {.version = adapter.version(), .sha256 = adapter.sha256()};
}

report::PpoStep ToPpoStep(const orchestrator::v1::Step& step) {
  return {.step = step.step(),
          .adapter = ToAdapterId(step.adapter()),
          .objective_kl = step.objective_kl(),
          .returns_mean = step.returns_mean(),
          .advantages_mean = step.advantages_mean(),
          .score_mean = step.score_mean(),
          .toxicity_mean = step.toxicity_mean(),
          .response_tokens_mean = step.response_tokens_mean(),
          .repetition_mean = step.repetition_mean(),
          .judge_gap = step.has_judge_gap() ? std::optional(step.judge_gap()) : std::nullopt,
          .tokens_per_second = step.tokens_per_second(),
          .seconds = step.seconds(),
          .stats = {step.stats().begin(), step.stats().end()},
          .phase_seconds = {step.phase_seconds().begin(), step.phase_seconds().end()}};
}

// Those that the run had committed when it was asked about.
template <typename Step>
absl::StatusOr<std::vector<Step>> CollectSteps(const std::string& address,
                                               const orchestrator::v1::Run& run,
                                               Step (*to_step)(const orchestrator::v1::Step&)) {
  std::vector<Step> steps;
  OrchestratorClient client(address);
  bool complete = false;
  const absl::Status status =
      client.WatchRun(run.run_id(), -1, [&](const orchestrator::v1::WatchRunResponse& event) {
        if (event.has_step() && event.step().step() <= run.committed_steps())
          steps.push_back(to_step(event.step()));
        // The stream of a run in progress does not end by itself; what is being done comes after
        // the steps that are done.
        complete = complete || event.has_ended() || !event.activity().empty() ||
                   event.step().step() >= std::max(1, run.committed_steps());
        if (complete) client.CancelWatch();
      });
  if (!complete && !status.ok()) return status;
  return steps;
}

absl::StatusOr<report::PpoRun> CollectPpoRun(const std::string& address,
                                             const orchestrator::v1::Run& run) {
  report::PpoRun out;
  out.run_id = run.run_id();
  out.name = run.spec().name();
  out.state = StateWord(orchestrator::v1::RunState_Name(run.state()), "RUN_STATE_");
  out.error = run.error();
  SetTimes(run, &out);
  out.spec = wire::ToJson(run.spec());
  out.spec_sha256 = Sha256Hex(out.spec);
  out.planned_steps = run.total_steps();
  out.start_adapter = run.spec().start_adapter();
  if (run.has_start_adapter_ref()) out.start = ToAdapterId(run.start_adapter_ref());
  out.adapter = ToAdapterId(run.adapter());
  out.adapter_path = run.adapter_path();
  for (const orchestrator::v1::PinnedModel& model : run.models()) {
    out.models.push_back({StateWord(orchestrator::v1::NodeRole_Name(model.role()), "NODE_ROLE_"),
                          model.model_sha256(), model.precision()});
  }
  for (const orchestrator::v1::GuardTrip& trip : run.guard_trips())
    out.guard_trips.push_back({trip.step(), trip.good_step(), ToAdapterId(trip.good()),
                               trip.check(), trip.value(), trip.bound(), trip.reason()});
  MELLOW_ASSIGN_OR_RETURN(out.steps, CollectSteps(address, run, ToPpoStep));
  return out;
}

report::SftStep ToSftStep(const orchestrator::v1::Step& any) {
  const learner::v1::SftStep& step = any.sft();
  report::SftStep out{.step = step.step(),
                      .epoch = step.epoch(),
                      .learning_rate = step.learning_rate(),
                      .gradient_norm = step.gradient_norm()};
  if (step.has_loss()) out.loss = step.loss();
  if (step.has_dev_loss()) out.dev_loss = step.dev_loss();
  return out;
}

absl::StatusOr<report::SftRun> CollectSftRun(const std::string& address,
                                             const orchestrator::v1::Run& run) {
  const learner::v1::SftRun& sft = run.sft();
  report::SftRun out;
  out.run_id = run.run_id();
  out.name = run.spec().name();
  out.state = StateWord(orchestrator::v1::RunState_Name(run.state()), "RUN_STATE_");
  out.error = run.error();
  SetTimes(run, &out);
  out.spec = wire::ToJson(run.spec().sft());
  out.spec_sha256 = Sha256Hex(out.spec);
  out.start_adapter = run.spec().sft().start_adapter();
  out.planned_steps = run.total_steps();
  out.trainable_parameters = sft.trainable_parameters();
  out.total_parameters = sft.total_parameters();
  if (sft.has_best_step()) out.best_step = sft.best_step();
  if (sft.has_best_dev_loss()) out.best_dev_loss = sft.best_dev_loss();
  out.adapter_path = run.adapter_path();
  out.adapter_sha256 = sft.adapter_sha256();
  MELLOW_ASSIGN_OR_RETURN(out.steps, CollectSteps(address, run, ToSftStep));
  return out;
}

report::Promotion ToPromotion(const orchestrator::v1::PromotionEvent& event) {
  report::Promotion out{.unix_seconds = event.time().seconds(),
                        .kind = event.action() == orchestrator::v1::PROMOTION_ACTION_ROLL_BACK
                                    ? "rollback"
                                    : "promote",
                        .forced = event.evidence().forced(),
                        .evaluation_sha256 = event.evidence().evaluation_sha256()};
  if (event.has_champion()) out.adapter = ToAdapterId(event.champion());
  if (event.has_previous()) out.previous = ToAdapterId(event.previous());
  out.reason = event.evidence().reason();
  for (const auto& gate : event.evidence().gates())
    out.gates.push_back({.name = gate.name(), .passed = gate.passed(), .detail = gate.detail()});
  return out;
}

// Newest first, as runs.
absl::StatusOr<std::vector<report::Promotion>> CollectPromotions(const std::string& address) {
  MELLOW_ASSIGN_OR_RETURN(const orchestrator::v1::ListPromotionsResponse response,
                          OrchestratorClient(address).ListPromotions());
  std::vector<report::Promotion> promotions;
  for (auto event = response.events().rbegin(); event != response.events().rend(); ++event)
    promotions.push_back(ToPromotion(*event));
  return promotions;
}

}  // namespace

absl::StatusOr<report::ClusterHistory> CollectClusterHistory(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> orchestrators,
                          ServicesOfRole(folder, "orchestrator"));
  const std::string& address = orchestrators[0].address;
  report::ClusterHistory history;
  MELLOW_ASSIGN_OR_RETURN(const std::vector<orchestrator::v1::Run> runs,
                          OrchestratorClient(address).ListRuns());
  for (const orchestrator::v1::Run& run : runs) {
    if (run.spec().has_sft()) {
      MELLOW_ASSIGN_OR_RETURN(report::SftRun collected, CollectSftRun(address, run));
      history.sft.push_back(std::move(collected));
    } else {
      MELLOW_ASSIGN_OR_RETURN(report::PpoRun collected, CollectPpoRun(address, run));
      history.runs.push_back(std::move(collected));
    }
  }
  MELLOW_ASSIGN_OR_RETURN(history.promotions, CollectPromotions(address));
  return history;
}

}  // namespace mellow::cli
