#include "services/learner/sft/sft_session.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/sft/parameter_counts.h"
#include "common/text/load_tokenizer.h"
#include "services/learner/base/run_checkpoint.h"
#include "services/learner/base/run_id.h"

namespace mellow::learner {
namespace {

constexpr char kBestFolder[] = "/best";

}  // namespace

absl::Status CheckSameSft(const std::string& run_id, const std::string& had,
                          const std::string& wanted) {
  if (had == wanted) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("run ", run_id, " exists with other settings: ", had, ", not ", wanted));
}

absl::StatusOr<std::unique_ptr<SftSession>> SftSession::Open(const Options& options,
                                                             const SftSettings& settings) {
  MELLOW_RETURN_IF_ERROR(CheckRunId(settings.run_id));
  MELLOW_RETURN_IF_ERROR(settings.plan.Validate());
  const std::string root = absl::StrCat(options.checkpoint_dir, "/", settings.run_id);
  auto session = std::unique_ptr<SftSession>(new SftSession(settings, root));
  MELLOW_ASSIGN_OR_RETURN(session->store_, CheckpointStore::Open(root, {options.keep_checkpoints}));
  MELLOW_ASSIGN_OR_RETURN(const auto newest, NewestCheckpoint(*session->store_));
  SftRunFile file;
  if (newest.has_value()) {
    MELLOW_ASSIGN_OR_RETURN(file, ReadRunFile(newest->folder, ParseSftRunFile));
    MELLOW_RETURN_IF_ERROR(CheckSameSft(settings.run_id, file.spec_json, settings.spec_json));
  }
  MELLOW_RETURN_IF_ERROR(session->LoadData(options.model));
  if (newest.has_value() && file.data_sha256 != session->data_.sha256) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", settings.run_id, ": ", settings.plan.data.path,
                     " or the model's tokenizer has changed since the run began"));
  }
  // A run that goes on needs the adapter's shapes only, and has them itself.
  MELLOW_ASSIGN_OR_RETURN(const auto start,
                          newest.has_value()
                              ? ReadStart(newest->folder + kAdapterFolder, "checkpoint")
                              : ReadStart(settings.plan.start_adapter, "start_adapter"));
  MELLOW_ASSIGN_OR_RETURN(
      session->trainer_,
      sft::SftTrainer::Create(options.model, session->TrainerConfig(), start, options.trainer));
  MELLOW_RETURN_IF_ERROR(session->OpenLog(file));
  if (newest.has_value()) MELLOW_RETURN_IF_ERROR(session->Restore(newest->folder));
  return session;
}

absl::Status SftSession::Check(const std::string& model, const SftPlan& plan) {
  MELLOW_RETURN_IF_ERROR(plan.Validate());
  SftSession session({.plan = plan}, /*root=*/"");
  MELLOW_RETURN_IF_ERROR(session.LoadData(model));
  MELLOW_ASSIGN_OR_RETURN(const auto start, ReadStart(plan.start_adapter, "start_adapter"));
  return sft::SftTrainer::Check(model, session.TrainerConfig(), start);
}

absl::Status SftSession::LoadData(const std::string& model) {
  if (settings_.plan.start_adapter.empty()) {
    // A wrong target need not wait for data and weights.
    MELLOW_ASSIGN_OR_RETURN(const nn::T5Config config, nn::ReadT5Config(model));
    MELLOW_RETURN_IF_ERROR(sft::CountParameters(config, settings_.plan.trainer.lora).status());
  }
  MELLOW_ASSIGN_OR_RETURN(const auto tokenizer, text::LoadTokenizer(model));
  const uint32_t seed = settings_.plan.trainer.seed;
  MELLOW_ASSIGN_OR_RETURN(data_, LoadSftData(settings_.plan.data, seed, *tokenizer));
  order_.emplace(seed, static_cast<uint32_t>(data_.train.size()),
                 static_cast<uint32_t>(std::min<int64_t>(
                     settings_.plan.pairs_per_step(), static_cast<int64_t>(data_.train.size()))));
  MELLOW_ASSIGN_OR_RETURN(length_, LengthOf(settings_.plan, order_->steps_per_epoch()));
  return absl::OkStatus();
}

sft::SftConfig SftSession::TrainerConfig() const {
  sft::SftConfig config = settings_.plan.trainer;
  config.total_steps = length_.total_steps;
  config.warmup_steps = length_.warmup_steps;
  return config;
}

absl::Status SftSession::OpenLog(const SftRunFile& file) {
  std::map<int64_t, SftStepRecord> known, records;
  for (const SftStepRecord& record : file.records) known[record.step] = record;
  MELLOW_ASSIGN_OR_RETURN(log_, OpenStepLog(root_, known, &records));
  for (const auto& [step, record] : records) records_.push_back(record);
  logged_ = records_.size();
  return absl::OkStatus();
}

absl::Status SftSession::Restore(const std::string& folder) {
  MELLOW_RETURN_IF_ERROR(trainer_->RestoreState(folder + kTrainerFolder));
  saved_step_ = trainer_->step();
  if (best() != nullptr) {
    MELLOW_ASSIGN_OR_RETURN(best_weights_, adapters::ReadPeftFolder(folder + kBestFolder));
  }
  return absl::OkStatus();
}

absl::Status SftSession::Measure(SftStepRecord* record,
                                 const std::function<void(const std::string&)>& say,
                                 const std::function<void()>& between) {
  if (data_.dev.empty()) return absl::OkStatus();
  say(absl::StrCat("measuring the dev loss of ", data_.dev.size(), " pairs"));
  MELLOW_ASSIGN_OR_RETURN(record->dev_loss, trainer_->Evaluate(data_.dev, between));
  const SftStepRecord* const before = best();
  if (before == nullptr || *record->dev_loss < *before->dev_loss)
    best_weights_ = trainer_->Adapter();
  return absl::OkStatus();
}

absl::StatusOr<SftStepRecord> SftSession::Advance(
    const std::function<void(const std::string&)>& say, const std::function<void()>& between) {
  SftStepRecord record;
  bool due = false;  // a checkpoint
  if (records_.empty() && !data_.dev.empty()) {
    MELLOW_RETURN_IF_ERROR(Measure(&record, say, between));
    due = true;
  } else {
    say(absl::StrCat("training step ", trainer_->step() + 1, " of ", length_.total_steps));
    const auto start = std::chrono::steady_clock::now();
    std::vector<sft::Pair> pairs;
    for (const uint32_t row : order_->PairsOf(trainer_->step())) pairs.push_back(data_.train[row]);
    MELLOW_ASSIGN_OR_RETURN(const sft::StepResult result, trainer_->Step(pairs, between));
    record.step = result.step;
    record.epoch =
        static_cast<double>(result.step) / static_cast<double>(order_->steps_per_epoch());
    record.loss = result.loss;
    record.learning_rate = result.learning_rate;
    record.gradient_norm = result.gradient_norm;
    record.tokens = result.tokens;
    record.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (result.step % length_.eval_every == 0 || done())
      MELLOW_RETURN_IF_ERROR(Measure(&record, say, between));
    due = result.step % length_.checkpoint_every == 0 || done();
  }
  records_.push_back(record);
  if (due) MELLOW_RETURN_IF_ERROR(Checkpoint());
  return record;
}

SftRunFile SftSession::CheckpointFile() const {
  SftRunFile file{settings_.run_id, settings_.spec_json, data_.sha256, {}};
  if (records_.empty()) return file;
  if (best() != nullptr && best() != &records_.back()) file.records.push_back(*best());
  file.records.push_back(records_.back());
  return file;
}

absl::Status SftSession::Checkpoint() {
  if (saved_step_ == trainer_->step()) return absl::OkStatus();
  // First the lines: a checkpoint always finds the records before it. Lines without a checkpoint
  // count for nothing.
  MELLOW_RETURN_IF_ERROR(log_->Append(absl::MakeConstSpan(records_).subspan(logged_)));
  MELLOW_RETURN_IF_ERROR(
      store_->Save(trainer_->step(), [&](const std::string& folder) -> absl::Status {
        if (best_weights_)
          MELLOW_RETURN_IF_ERROR(
              adapters::WritePeftFolder(folder + kBestFolder, *best_weights_, Card(best())));
        return WriteCheckpoint(folder, *trainer_, Card(nullptr),
                               SerializeSftRunFile(CheckpointFile()));
      }));
  log_->Accept();
  logged_ = records_.size();
  saved_step_ = trainer_->step();
  return absl::OkStatus();
}

adapters::ModelCard SftSession::Card(const SftStepRecord* best) const {
  const auto name = [](const std::string& path) {
    return std::filesystem::path(path).filename().string();
  };
  adapters::ModelCard card{.method = "supervised fine-tuning",
                           .facts = {{"run", settings_.run_id},
                                     {"data", name(settings_.plan.data.path)},
                                     {"dev data", name(settings_.plan.data.dev_path)},
                                     {"training pairs", absl::StrCat(data_.train.size())},
                                     {"dev pairs", absl::StrCat(data_.dev.size())},
                                     {"steps", absl::StrCat(best ? best->step : trainer_->step())},
                                     {"started from", name(settings_.plan.start_adapter)}},
                           .settings_json = settings_.spec_json};
  if (best != nullptr) card.facts.emplace_back("dev loss", absl::StrCat(*best->dev_loss));
  return card;
}

absl::StatusOr<SftResult> SftSession::Finish() const {
  const nn::LoraWeights weights = best_weights_ ? *best_weights_ : trainer_->Adapter();
  SftResult result{AdapterFolderOf(root_), adapters::ContentHash(weights)};
  MELLOW_RETURN_IF_ERROR(
      adapters::WritePeftFolder(result.folder, weights, Card(best_weights_ ? best() : nullptr)));
  return result;
}

}  // namespace mellow::learner
