#include "services/orchestrator/run/adapter_publisher.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/wait_on_registry.h"

namespace mellow::orchestrator {

AdapterPublisher::AdapterPublisher(const DriverParts& parts, std::string run_id,
                                   const RunConfig& config, RunObserver* observer,
                                   RunSignals signals)
    : parts_(parts),
      run_id_(std::move(run_id)),
      config_(config),
      observer_(observer),
      signals_(std::move(signals)) {}

double AdapterPublisher::PolicyBound() const {
  return other_precision_.empty() ? parts_.canary_bound
                                  : std::max(parts_.canary_bound, kOtherPrecisionBound);
}

absl::StatusOr<AdapterRef> AdapterPublisher::NameFor(const AdapterRef& weights) const {
  MELLOW_ASSIGN_OR_RETURN(const std::optional<AdapterRecord> newest,
                          parts_.ledger->NewestAdapter());
  if (weights.version == 0 || !newest || newest->ref.version <= weights.version) return weights;
  if (newest->run_id == run_id_ && SameWeights(newest->ref, weights)) return newest->ref;
  MELLOW_ASSIGN_OR_RETURN(const int64_t version,
                          parts_.ledger->NewVersion(parts_.registry->LargestVersion()));
  return AdapterRef{version, weights.sha256};
}

absl::StatusOr<AdapterRecord> AdapterPublisher::RecordOf(const AdapterRef& weights,
                                                         int trained_steps,
                                                         absl::Span<const Prompt> prompts,
                                                         LearnerRun* learner) const {
  MELLOW_ASSIGN_OR_RETURN(std::optional<AdapterRecord> record,
                          parts_.ledger->NewestAdapterOf(run_id_));
  if (record && SameWeights(record->ref, weights)) {
    MELLOW_ASSIGN_OR_RETURN(const AdapterRef served, NameFor(record->ref));
    if (served == record->ref) return *std::move(record);
    record->ref = served;
    MELLOW_RETURN_IF_ERROR(parts_.ledger->RecordAdapter(*record));
    return *std::move(record);
  }
  // Not published yet: what the run starts from, or went back to. The learner still has it as its
  // current weights. Another run may have published since they got their version.
  AdapterRecord made{.run_id = run_id_};
  MELLOW_ASSIGN_OR_RETURN(made.ref, NameFor(weights));
  if (weights.version > 0) {
    MELLOW_ASSIGN_OR_RETURN(AdapterAnswer adapter, learner->GetAdapter(weights.version));
    adapter.files.model_card = CardOf(trained_steps, weights, adapter.files);
    MELLOW_ASSIGN_OR_RETURN(made.folder,
                            parts_.adapters->Write(run_id_, weights.version, adapter.files));
  }
  made.canary.pairs = CanaryPairs(prompts);
  made.canary.bound = PolicyBound();
  MELLOW_ASSIGN_OR_RETURN(PairScores scores,
                          learner->ScoreTokens(made.canary.pairs, /*reference=*/false));
  if (!SameWeights(scores.adapter, weights)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the learner is at adapter ", ToString(scores.adapter), ", not at ", ToString(weights)));
  }
  made.canary.expected = std::move(scores.logprobs);
  MELLOW_RETURN_IF_ERROR(parts_.ledger->RecordAdapter(made));
  return made;
}

absl::StatusOr<AdapterRef> AdapterPublisher::Serve(const AdapterRef& weights, int trained_steps,
                                                   absl::Span<const Prompt> prompts, bool first,
                                                   LearnerRun* learner) {
  const std::shared_ptr<const AdapterTarget> target = parts_.supervisor->target();
  if (target != nullptr && SameWeights(target->ref, weights) && !target->canary.pairs.empty()) {
    return target->ref;
  }
  MELLOW_ASSIGN_OR_RETURN(AdapterRecord record, RecordOf(weights, trained_steps, prompts, learner));
  AdapterTarget next{.ref = record.ref, .canary = std::move(record.canary)};
  if (record.ref.version > 0) {
    absl::StatusOr<adapters::PeftFiles> files =
        parts_.adapters->Read(record.folder, record.ref.sha256);
    if (!files.ok()) {
      obs::Log(obs::Severity::kWarning, "an adapter cannot be read; the learner is asked for it",
               {{"adapter", record.ref.version}, {"error", files.status().ToString()}});
      MELLOW_ASSIGN_OR_RETURN(AdapterAnswer adapter, learner->GetAdapter(weights.version));
      files = std::move(adapter.files);
    }
    next.files = std::make_shared<const adapters::PeftFiles>(*std::move(files));
  }
  parts_.supervisor->SetTarget(std::move(next));
  MELLOW_RETURN_IF_ERROR(
      WaitSettled(absl::StrCat("publish adapter ", ToString(record.ref)), first));
  return record.ref;
}

absl::Status AdapterPublisher::WaitSettled(const std::string& doing, bool first) const {
  const LinkedStop stop(signals_.stop, signals_.shutdown);
  absl::Status settled = AskedToStop();
  WaitOnRegistry(parts_.registry, stop.token(), SteadyTime::InfiniteFuture(), [&] {
    const int untried = parts_.registry->Untried();
    const bool ready =
        !parts_.registry->Ready(NodeRole::kPolicy, SteadyTime::InfiniteFuture()).empty();
    // One is enough: the others join the step as they pass, and a hung one holds up nobody.
    if (ready) {
      settled = absl::OkStatus();
      return true;
    }
    if (const std::string reasons = parts_.registry->AllMismatch(); first && !reasons.empty()) {
      settled = absl::FailedPreconditionError(
          absl::StrCat("self-test: the log-probs of no policy node are the learner's: ", reasons));
      return true;
    }
    observer_->OnActivity(untried > 0
                              ? doing
                              : absl::StrCat(doing, ": waiting for a policy node: ",
                                             parts_.registry->WhyNoneReady(NodeRole::kPolicy)));
    return false;
  });
  return settled;
}

absl::Status AdapterPublisher::Publish(int step, const AdapterRef& adapter,
                                       const std::vector<Rollout>& rollouts, int64_t start_version,
                                       LearnerRun* learner) {
  MELLOW_ASSIGN_OR_RETURN(AdapterAnswer answer, learner->GetAdapter(adapter.version));
  if (!(answer.ref == adapter)) {
    return absl::InternalError(absl::StrCat("the learner sent adapter ", ToString(answer.ref),
                                            " instead of ", ToString(adapter)));
  }
  MELLOW_ASSIGN_OR_RETURN(const AdapterRef served, NameFor(adapter));
  AdapterRecord record{.ref = served, .run_id = run_id_};
  answer.files.model_card = CardOf(step, served, answer.files);
  MELLOW_ASSIGN_OR_RETURN(record.folder,
                          parts_.adapters->Write(run_id_, served.version, answer.files));
  record.canary.pairs = CanaryPairs(absl::MakeConstSpan(rollouts));
  MELLOW_ASSIGN_OR_RETURN(PairScores scores,
                          learner->ScoreTokens(record.canary.pairs, /*reference=*/false));
  if (!SameWeights(scores.adapter, adapter)) {
    return absl::InternalError(absl::StrCat("the learner scored with adapter ",
                                            ToString(scores.adapter), " instead of ",
                                            ToString(adapter)));
  }
  std::vector<std::vector<float>> before;
  for (size_t i = 0; i < record.canary.pairs.size(); ++i) before.push_back(rollouts[i].logprobs);
  record.canary.expected = std::move(scores.logprobs);
  // Between two precisions the pairs move less by a step than they differ anyway.
  record.canary.bound = other_precision_.empty()
                            ? CanaryBound(before, record.canary.expected, parts_.canary_bound)
                            : PolicyBound();
  MELLOW_RETURN_IF_ERROR(parts_.ledger->RecordAdapter(record));
  parts_.supervisor->SetTarget(
      {.ref = served,
       .files = std::make_shared<const adapters::PeftFiles>(std::move(answer.files)),
       .canary = record.canary});
  MELLOW_RETURN_IF_ERROR(WaitSettled(absl::StrCat("step ", step, ": publish"), /*first=*/false));
  return RemoveOldAdapters(start_version);
}

absl::Status AdapterPublisher::RemoveOldAdapters(int64_t start_version) const {
  if (parts_.keep_adapters == 0) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(std::set<std::string> stay,
                          parts_.ledger->DropAdapters(run_id_, parts_.keep_adapters));
  // Nodes that lack the reference get it from there.
  if (config_.reference_is_start) stay.insert(parts_.adapters->FolderOf(run_id_, start_version));
  parts_.adapters->RemoveOthers(run_id_, stay);
  return absl::OkStatus();
}

std::string AdapterPublisher::CardOf(int step, const AdapterRef& adapter,
                                     const adapters::PeftFiles& files) const {
  const auto name = [](const std::string& path) {
    return std::filesystem::path(path).filename().string();
  };
  const adapters::ModelCard card = {
      .method = "PPO",
      .facts = {{"run",
                 config_.name.empty() ? run_id_ : absl::StrCat(config_.name, " (", run_id_, ")")},
                {"data", name(config_.data.path)},
                {"steps", absl::StrCat(step, " of ", config_.steps)},
                {"prompts per step", absl::StrCat(config_.batch_size)},
                {"reward", absl::StrCat("logit of ", config_.reward.label)},
                {"started from", name(config_.start_adapter)}},
      .settings_json = config_.spec_json,
      .adapter_sha256 = adapter.sha256};
  return adapters::SerializeModelCard(card, files.config_json, files.safetensors);
}

}  // namespace mellow::orchestrator
