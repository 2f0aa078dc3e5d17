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
#include "services/cli/files/run_record.h"
#include "services/cli/files/spec_message.h"
#include "services/cli/train/sft_client.h"

namespace mellow::cli {
namespace {

std::string StateWord(const std::string& enum_name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enum_name, prefix));
}

report::AdapterId ToAdapterId(const common::v1::AdapterRef& adapter) {
  return {.version = adapter.version(), .sha256 = adapter.sha256()};
}

report::PpoStep ToStep(const orchestrator::v1::Step& step) {
  return {.step = step.step(),
          .adapter = ToAdapterId(step.adapter()),
          .objective_kl = step.objective_kl(),
          .returns_mean = step.returns_mean(),
          .advantages_mean = step.advantages_mean(),
          .score_mean = step.score_mean(),
          .toxicity_mean = step.toxicity_mean(),
          .response_tokens_mean = step.response_tokens_mean(),
          .tokens_per_second = step.tokens_per_second(),
          .seconds = step.seconds(),
          .stats = {step.stats().begin(), step.stats().end()},
          .phase_seconds = {step.phase_seconds().begin(), step.phase_seconds().end()}};
}

absl::StatusOr<std::vector<report::PpoStep>> CollectSteps(const std::string& address,
                                                          const orchestrator::v1::Run& run) {
  std::vector<report::PpoStep> steps;
  if (run.committed_steps() == 0) return steps;
  OrchestratorClient client(address);
  const absl::Status status =
      client.WatchRun(run.run_id(), 0, [&](const orchestrator::v1::WatchRunResponse& event) {
        if (!event.has_step()) return;
        steps.push_back(ToStep(event.step()));
        // The stream of a run in progress does not end by itself.
        if (static_cast<int>(steps.size()) >= run.committed_steps()) client.CancelWatch();
      });
  const bool complete = static_cast<int>(steps.size()) >= run.committed_steps();
  if (!complete && !status.ok()) return status;
  steps.resize(std::min(steps.size(), static_cast<size_t>(run.committed_steps())));
  return steps;
}

absl::StatusOr<report::PpoRun> CollectPpoRun(const std::string& address,
                                             const orchestrator::v1::Run& run) {
  report::PpoRun out;
  out.run_id = run.run_id();
  out.name = run.spec().name();
  out.state = StateWord(orchestrator::v1::RunState_Name(run.state()), "RUN_STATE_");
  out.error = run.error();
  out.spec = SpecToJson(run.spec());
  out.spec_sha256 = Sha256Hex(out.spec);
  out.planned_steps = run.spec().steps();
  out.start_adapter = run.spec().start_adapter();
  if (run.has_start_adapter_ref()) out.start = ToAdapterId(run.start_adapter_ref());
  out.adapter = ToAdapterId(run.adapter());
  out.adapter_path = run.adapter_path();
  for (const orchestrator::v1::PinnedModel& model : run.models()) {
    out.models.push_back({StateWord(orchestrator::v1::NodeRole_Name(model.role()), "NODE_ROLE_"),
                          model.model_sha256(), model.precision()});
  }
  MELLOW_ASSIGN_OR_RETURN(out.steps, CollectSteps(address, run));
  return out;
}

report::SftStep ToStep(const learner::v1::SftStep& step) {
  report::SftStep out{.step = step.step(),
                      .epoch = step.epoch(),
                      .learning_rate = step.learning_rate(),
                      .gradient_norm = step.gradient_norm()};
  if (step.has_loss()) out.loss = step.loss();
  if (step.has_dev_loss()) out.dev_loss = step.dev_loss();
  return out;
}

void Describe(const learner::v1::SftRun& run, report::SftRun* out) {
  out->state = StateWord(learner::v1::SftState_Name(run.state()), "SFT_STATE_");
  out->error = run.error();
  out->planned_steps = run.total_steps();
  out->trainable_parameters = run.trainable_parameters();
  out->total_parameters = run.total_parameters();
  if (run.has_best_step()) out->best_step = run.best_step();
  if (run.has_best_dev_loss()) out->best_dev_loss = run.best_dev_loss();
  out->adapter_path = run.adapter_path();
  out->adapter_sha256 = run.adapter_sha256();
}

report::SftRun NewSftRun(const std::string& run_id, const learner::v1::SftSpec& spec) {
  report::SftRun out;
  out.run_id = run_id;
  out.name = spec.name();
  out.spec = SpecToJson(spec);
  out.spec_sha256 = Sha256Hex(out.spec);
  out.start_adapter = spec.start_adapter();
  return out;
}

// Steps and state, as far as the run has come.
absl::Status AddProgress(const std::string& address, report::SftRun* out) {
  SftClient client(address);
  const absl::Status status =
      client.Watch(out->run_id, -1, [&](const learner::v1::WatchSftResponse& event) {
        if (event.has_step()) out->steps.push_back(ToStep(event.step()));
        if (event.has_ended()) Describe(event.ended(), out);
        // What is being done comes after the steps that are done: the run is in progress.
        if (!event.activity().empty() && out->state.empty()) {
          out->state = "running";
          client.CancelWatch();
        }
      });
  // A restarted learner tells of the steps of a run that has not ended only when the run is opened
  // again.
  if (status.ok() || absl::IsCancelled(status) || absl::IsNotFound(status)) return absl::OkStatus();
  return status;
}

// Newest first: the run that the last `mellow sft` began, when it is not done, and those that are.
absl::StatusOr<std::vector<report::SftRun>> CollectSftRuns(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> learners,
                          ServicesOfRole(folder, "learner"));
  const std::string& address = learners[0].address;
  std::vector<report::SftRun> runs;
  MELLOW_ASSIGN_OR_RETURN(const std::vector<learner::v1::ListSftResponse> finished,
                          SftClient(address).ListFinished());
  for (const learner::v1::ListSftResponse& run : finished)
    runs.push_back(NewSftRun(run.run().run_id(), run.spec()));
  const auto record = ReadRunRecord<learner::v1::SftSpec>(absl::StrCat(folder, "/sft.json"));
  if (record.ok()) {
    const bool known = std::any_of(runs.begin(), runs.end(), [&](const report::SftRun& run) {
      return run.run_id == record->request_id;
    });
    if (!known) runs.insert(runs.begin(), NewSftRun(record->request_id, record->spec));
  } else if (!absl::IsNotFound(record.status())) {
    return record.status();
  }
  for (report::SftRun& run : runs) MELLOW_RETURN_IF_ERROR(AddProgress(address, &run));
  return runs;
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
    MELLOW_ASSIGN_OR_RETURN(report::PpoRun collected, CollectPpoRun(address, run));
    history.runs.push_back(std::move(collected));
  }
  MELLOW_ASSIGN_OR_RETURN(history.sft, CollectSftRuns(folder));
  MELLOW_ASSIGN_OR_RETURN(history.promotions, CollectPromotions(address));
  return history;
}

}  // namespace mellow::cli
