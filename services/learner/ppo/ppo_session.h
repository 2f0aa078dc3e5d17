#ifndef MELLOW_SERVICES_LEARNER_PPO_PPO_SESSION_H_
#define MELLOW_SERVICES_LEARNER_PPO_PPO_SESSION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/lora.h"
#include "common/rl/ppo_trainer.h"
#include "services/learner/base/checkpoint_store.h"
#include "services/learner/base/step_log.h"
#include "services/learner/ppo/step_records.h"

namespace mellow::learner {

// What a step begins with: numbers that others computed with the same weights can be taken over.
struct StepWeights {
  int64_t version = 0;  // of the adapter
  std::string value_head_sha256;
  std::string reference_sha256;  // empty: the base model, or a fresh adapter, which equals it
  std::string precision;         // "float32": of the frozen products
};

// One open run: the trainer, its checkpoints, and the record of its steps. Not thread-safe: the
// service serializes.
class PpoSession {
 public:
  struct Options {
    std::string model;
    std::string checkpoint_dir;
    int keep_checkpoints = 3;
    train::TrainerOptions trainer;
    int keep_adapters = 0;  // newest ones of the run; 0: that of every step
  };

  // Whether a run with these settings (their run id aside) could be opened on this model, as far as
  // it can be told without the model's weights. Errors as Open's.
  [[nodiscard]] static absl::Status Check(const std::string& model, const RunSettings& settings);

  // Starts a run, with a checkpoint of step 0 (of a fork: of its after_step), or continues it from
  // its newest whole checkpoint. A fork is the end of the run that it begins at, and the
  // checkpoints of the one that this had begun at are removed: nobody goes back so far.
  // InvalidArgument: run id or config. FailedPrecondition: the run exists with other settings.
  // NotFound, DataLoss: the checkpoint to begin at is not kept, or damaged. Errors of the adapter
  // folder and the disk.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PpoSession>> Open(
      const Options& options, const RunSettings& settings);

  [[nodiscard]] const RunSettings& settings() const { return settings_; }
  [[nodiscard]] int64_t last_step() const {
    if (!records_.empty()) return records_.rbegin()->first;
    return settings_.fork ? settings_.fork->after_step : 0;
  }
  [[nodiscard]] const rl::PpoTrainer& trainer() const { return *trainer_; }

  // The record of `step`, or null.
  [[nodiscard]] const PpoStepRecord* Recorded(int64_t step) const;

  // True from the moment that a step begins to move the weights until it is recorded, or until the
  // trainer is back at the last checkpoint. A session that stays so (an error or an exception on
  // the way) must be dropped and opened again: its weights and moments are nobody's.
  [[nodiscard]] bool spoiled() const { return spoiled_; }

  // Trains step last_step() + 1 and writes its checkpoint; only then is it recorded. On an error
  // nothing is recorded; see spoiled() for what may be done next. FailedPrecondition: another step,
  // or the session is spoiled.
  // InvalidArgument: the rollouts, or a version that is not newer. ResourceExhausted: disk full.
  // `source` and `between`: as PpoTrainer::Step.
  [[nodiscard]] absl::StatusOr<PpoStepRecord> Train(int64_t step,
                                                    absl::Span<const rl::Rollout> rollouts,
                                                    int64_t new_version,
                                                    rl::GroupSource* source = nullptr,
                                                    const std::function<void()>& between = {});

  struct Adapter {
    int64_t version = 0;
    std::string sha256;
    nn::LoraWeights weights;
  };
  [[nodiscard]] Adapter CurrentAdapter() const;
  // nn::SerializeValueHead of the current one.
  [[nodiscard]] std::string ValueHeadBytes() const;
  [[nodiscard]] StepWeights CurrentWeights() const;
  // From the adapters that are kept. NotFound: names the versions that are.
  [[nodiscard]] absl::StatusOr<Adapter> AdapterOf(int64_t version) const;
  // Folder of the current adapter in PEFT's format; it stays when its checkpoint goes, unless
  // keep_adapters bounds them.
  [[nodiscard]] std::string AdapterPath() const;

  [[nodiscard]] absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const rl::ScoreRow> rows, bool reference,
      std::vector<std::vector<float>>* values = nullptr);

 private:
  PpoSession(RunSettings settings, CheckpointStore store);
  // `record`: of the step; null for what the run begins with.
  [[nodiscard]] absl::Status SaveCheckpoint(int64_t step, const PpoStepRecord* record);
  // The trainer at the checkpoint that the run's fork names.
  [[nodiscard]] absl::Status BeginAtFork(const std::string& checkpoint_dir);
  // Removes the checkpoints of the run at which the run that this one begins at has begun.
  void ForgetForkBefore(const Options& options) const;
  // Writes the step's record and its checkpoint.
  [[nodiscard]] absl::Status Commit(const PpoStepRecord& record);

  RunSettings settings_;
  CheckpointStore store_;
  std::unique_ptr<rl::PpoTrainer> trainer_;
  std::map<int64_t, PpoStepRecord> records_;
  std::optional<StepLog<PpoStepRecord>> log_;
  std::string reference_sha256_;  // as StepWeights'
  bool spoiled_ = false;
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_PPO_PPO_SESSION_H_
