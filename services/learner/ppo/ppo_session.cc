#include "services/learner/ppo/ppo_session.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/adapters/peft.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "services/learner/base/run_checkpoint.h"
#include "services/learner/base/run_id.h"

namespace mellow::learner {
namespace {

// The data are the orchestrator's business: the learner sees rollouts.
adapters::ModelCard CardOf(const RunSettings& settings, int64_t step) {
  return {.method = "PPO",
          .facts = {{"run", settings.run_id},
                    {"steps", absl::StrCat(step)},
                    {"started from", std::filesystem::path(settings.start_adapter).filename()}},
          .settings_json = settings.config_json};
}

}  // namespace

absl::Status PpoSession::Check(const std::string& model, const RunSettings& settings) {
  MELLOW_ASSIGN_OR_RETURN(const std::optional<nn::LoraWeights> start,
                          ReadStart(settings.start_adapter, "start_adapter"));
  const absl::Status fits = rl::PpoTrainer::Check(model, settings.config, start);
  return start ? Annotate(fits, "start_adapter") : fits;
}

PpoSession::PpoSession(RunSettings settings, CheckpointStore store)
    : settings_(std::move(settings)), store_(std::move(store)) {}

absl::StatusOr<std::unique_ptr<PpoSession>> PpoSession::Open(const Options& options,
                                                             const RunSettings& settings) {
  MELLOW_RETURN_IF_ERROR(CheckRunId(settings.run_id));
  MELLOW_ASSIGN_OR_RETURN(
      auto store,
      CheckpointStore::Open(absl::StrCat(options.checkpoint_dir, "/", settings.run_id),
                            {std::max(options.keep_checkpoints, settings.keep_checkpoints),
                             kAdapterPart, options.keep_adapters}));
  MELLOW_ASSIGN_OR_RETURN(const auto newest, NewestCheckpoint(store));

  auto session = std::unique_ptr<PpoSession>(new PpoSession(settings, std::move(store)));
  PpoRunFile file;
  if (newest.has_value()) {
    MELLOW_ASSIGN_OR_RETURN(file, ReadRunFile(newest->folder, ParsePpoRunFile));
    MELLOW_RETURN_IF_ERROR(CheckSameSettings(file.settings, settings));
  }
  MELLOW_ASSIGN_OR_RETURN(const std::optional<nn::LoraWeights> start,
                          ReadStart(settings.start_adapter, "start_adapter"));
  MELLOW_ASSIGN_OR_RETURN(session->trainer_, rl::PpoTrainer::Create(options.model, settings.config,
                                                                    start, options.trainer));
  if (newest.has_value()) {
    MELLOW_RETURN_IF_ERROR(session->trainer_->RestoreState(newest->folder + kTrainerFolder));
  } else {
    if (settings.fork) MELLOW_RETURN_IF_ERROR(session->BeginAtFork(options.checkpoint_dir));
    // Something to go back to when the first step cannot be recorded.
    MELLOW_RETURN_IF_ERROR(session->SaveCheckpoint(session->last_step(), nullptr));
    if (settings.fork) session->ForgetForkBefore(options);
  }
  MELLOW_ASSIGN_OR_RETURN(session->log_,
                          OpenStepLog(session->store_.root(), file.records, &session->records_));
  if (start && settings.config.reference == rl::Reference::kStart)
    session->reference_sha256_ = adapters::ContentHash(session->trainer_->ReferenceAdapter());
  return session;
}

absl::Status PpoSession::BeginAtFork(const std::string& checkpoint_dir) {
  const ForkPoint& fork = *settings_.fork;
  MELLOW_RETURN_IF_ERROR(CheckRunId(fork.run_id));
  const std::string folder =
      CheckpointStore::FolderOf(absl::StrCat(checkpoint_dir, "/", fork.run_id), fork.step);
  absl::Status whole = Annotate(VerifyManifest(folder), "the checkpoint to go back to");
  // There is no other one with these weights and moments: somebody has to do something.
  if (absl::IsDataLoss(whole) || absl::IsNotFound(whole))
    return absl::Status(
        whole.code(),
        absl::StrCat(whole.message(),
                     "; put that folder back from a backup and resume the run, or start another "
                     "run from an adapter that is kept"));
  MELLOW_RETURN_IF_ERROR(whole);
  return trainer_->RestoreState(folder + kTrainerFolder);
}

void PpoSession::ForgetForkBefore(const Options& options) const {
  const ForkPoint& fork = *settings_.fork;
  const std::string root = absl::StrCat(options.checkpoint_dir, "/");
  const absl::StatusOr<PpoRunFile> file =
      ReadRunFile(CheckpointStore::FolderOf(root + fork.run_id, fork.step), ParsePpoRunFile);
  if (!file.ok() || !file->settings.fork) return;
  auto store = CheckpointStore::Open(root + file->settings.fork->run_id,
                                     {1, kAdapterPart, options.keep_adapters});
  if (store.ok()) store->RemoveAll();
}

absl::Status PpoSession::SaveCheckpoint(int64_t step, const PpoStepRecord* record) {
  PpoRunFile file{settings_, {}};
  if (record != nullptr) file.records[record->step] = *record;
  return store_.Save(step, [&](const std::string& folder) {
    return WriteCheckpoint(folder, *trainer_, CardOf(settings_, step), SerializePpoRunFile(file));
  });
}

const PpoStepRecord* PpoSession::Recorded(int64_t step) const {
  const auto it = records_.find(step);
  return it == records_.end() ? nullptr : &it->second;
}

absl::StatusOr<PpoStepRecord> PpoSession::Train(int64_t step,
                                                absl::Span<const rl::Rollout> rollouts,
                                                int64_t new_version, rl::GroupSource* source,
                                                const std::function<void()>& between) {
  if (step != last_step() + 1)
    return absl::FailedPreconditionError(absl::StrCat("step ", step, " of run ", settings_.run_id,
                                                      ": the next one is ", last_step() + 1));
  const int64_t current =
      records_.empty() ? settings_.start_version : records_.rbegin()->second.version;
  if (new_version <= current)
    return absl::InvalidArgumentError(
        absl::StrCat("new_version ", new_version, ": must be newer than the current ", current));

  if (spoiled_)
    return absl::FailedPreconditionError(
        absl::StrCat("run ", settings_.run_id, ": an earlier step failed half-way, open it again"));

  const auto start = std::chrono::steady_clock::now();
  spoiled_ = true;
  absl::StatusOr<rl::StepResult> result = trainer_->Step(rollouts, source, between);
  if (!result.ok()) {
    // Rollouts are looked at before anything moves.
    spoiled_ = !absl::IsInvalidArgument(result.status());
    return result.status();
  }
  PpoStepRecord record;
  record.step = step;
  record.version = new_version;
  record.sha256 = adapters::ContentHash(trainer_->Adapter());
  record.stats = std::move(result->stats);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  if (absl::Status saved = Commit(record); !saved.ok()) {
    // The weights have moved, the record has not: go back, so that the same step can be trained
    // again from where it began.
    const absl::Status restored =
        trainer_->RestoreState(store_.FolderOf(last_step()) + kTrainerFolder);
    if (!restored.ok())
      return absl::InternalError(
          absl::StrCat(saved.message(), "; and going back failed: ", restored.message()));
    spoiled_ = false;
    return saved;
  }
  spoiled_ = false;
  return record;
}

absl::Status PpoSession::Commit(const PpoStepRecord& record) {
  // First the line: a checkpoint always finds the records of the steps before it. A line without a
  // checkpoint counts for nothing.
  MELLOW_RETURN_IF_ERROR(log_->Append(absl::MakeConstSpan(&record, 1)));
  MELLOW_RETURN_IF_ERROR(SaveCheckpoint(record.step, &record));
  log_->Accept();
  records_[record.step] = record;
  return absl::OkStatus();
}

PpoSession::Adapter PpoSession::CurrentAdapter() const {
  Adapter adapter;
  adapter.weights = trainer_->Adapter();
  if (records_.empty()) {
    adapter.version = settings_.start_version;
    // Version 0 is the base model, which a fresh adapter equals (B = 0); it has no hash of its
    // own.
    if (adapter.version != 0) adapter.sha256 = adapters::ContentHash(adapter.weights);
  } else {
    adapter.version = records_.rbegin()->second.version;
    adapter.sha256 = records_.rbegin()->second.sha256;
  }
  return adapter;
}

std::string PpoSession::ValueHeadBytes() const {
  return nn::SerializeValueHead(trainer_->value_head());
}

StepWeights PpoSession::CurrentWeights() const {
  return {.version = records_.empty() ? settings_.start_version : records_.rbegin()->second.version,
          .value_head_sha256 = Sha256Hex(ValueHeadBytes()),
          .reference_sha256 = reference_sha256_,
          .precision = std::string(nn::WeightTypeName(settings_.config.precision))};
}

absl::StatusOr<PpoSession::Adapter> PpoSession::AdapterOf(int64_t version) const {
  Adapter current = CurrentAdapter();
  if (version == current.version) return current;
  std::vector<int64_t> kept = {current.version};
  for (const auto& [step, record] : records_) {
    const std::string folder = store_.FolderOf(step) + kAdapterFolder;
    std::error_code ignored;
    if (!std::filesystem::exists(folder, ignored)) continue;
    if (record.version != version) {
      kept.push_back(record.version);
      continue;
    }
    MELLOW_ASSIGN_OR_RETURN(nn::LoraWeights weights, adapters::ReadPeftFolder(folder));
    return Adapter{version, record.sha256, std::move(weights)};
  }
  return absl::NotFoundError(absl::StrCat("version ", version, " of run ", settings_.run_id,
                                          " is not kept (there are ", absl::StrJoin(kept, ", "),
                                          ")"));
}

std::string PpoSession::AdapterPath() const {
  return store_.FolderOf(last_step()) + kAdapterFolder;
}

absl::StatusOr<std::vector<std::vector<float>>> PpoSession::ScoreTokens(
    absl::Span<const rl::ScoreRow> rows, bool reference, std::vector<std::vector<float>>* values) {
  return trainer_->ScoreTokens(
      rows, reference ? rl::PpoTrainer::Which::kReference : rl::PpoTrainer::Which::kCurrent,
      values);
}

}  // namespace mellow::learner
