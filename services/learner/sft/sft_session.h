#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_SESSION_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/model_card.h"
#include "common/nn/lora.h"
#include "common/sft/batch_plan.h"
#include "common/sft/sft_trainer.h"
#include "services/learner/base/checkpoint_store.h"
#include "services/learner/base/step_log.h"
#include "services/learner/sft/sft_data.h"
#include "services/learner/sft/sft_plan.h"
#include "services/learner/sft/sft_records.h"
#include "services/learner/sft/sft_status.h"

namespace mellow::learner {

struct SftSettings {
  std::string run_id;
  std::string spec_json;  // what the plan was made of: tells whether settings are the same
  SftPlan plan;
};

// FailedPrecondition naming the run, with both specs.
[[nodiscard]] absl::Status CheckSameSft(const std::string& run_id, const std::string& had,
                                        const std::string& wanted);

// One run of supervised fine-tuning: data, trainer, dev loss, best weights, checkpoints. A run that
// is opened again after any crash goes on from its newest checkpoint and ends with the same bits.
// Not thread-safe.
class SftSession {
 public:
  struct Options {
    std::string model;
    std::string checkpoint_dir;
    int keep_checkpoints = 3;
    train::TrainerOptions trainer;
  };

  // Starts a run or continues it. InvalidArgument: run id, plan, data. FailedPrecondition: the run
  // exists with other settings, or its data have changed. Errors of the adapter folder and the
  // disk.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SftSession>> Open(
      const Options& options, const SftSettings& settings);

  // Whether Open could start the plan's run, as far as it can be told without the model's weights:
  // reads the data and the adapter that it would. Writes nothing.
  [[nodiscard]] static absl::Status Check(const std::string& model, const SftPlan& plan);

  [[nodiscard]] const SftLength& length() const { return length_; }
  [[nodiscard]] const SftData& data() const { return data_; }
  [[nodiscard]] const sft::SftTrainer& trainer() const { return *trainer_; }
  [[nodiscard]] const std::vector<SftStepRecord>& records() const { return records_; }
  [[nodiscard]] bool done() const { return trainer_->step() >= length_.total_steps; }
  // The record with the lowest dev loss (the first of equals), or null.
  [[nodiscard]] const SftStepRecord* best() const { return LowestDevLoss(records_); }
  // With every record.
  [[nodiscard]] SftRunFile run_file() const {
    return {settings_.run_id, settings_.spec_json, data_.sha256, records_};
  }

  // The next record: the dev loss of the starting weights (step 0, when there are dev pairs), then
  // step after step; measures and checkpoints when they are due. `say` is told what takes long.
  // Precondition: not done(). After an error the session is of no use anymore: the newest
  // checkpoint has what counts. OutOfRange: loss or gradient is not finite. ResourceExhausted: disk
  // full.
  // `between` is called between two batches.
  [[nodiscard]] absl::StatusOr<SftStepRecord> Advance(
      const std::function<void(const std::string&)>& say,
      const std::function<void()>& between = {});

  // Writes a checkpoint unless the newest one is of this step.
  [[nodiscard]] absl::Status Checkpoint();

  // Precondition: done(). Writes the adapter with the lowest dev loss (without dev pairs the last
  // one) into its own folder of the run.
  [[nodiscard]] absl::StatusOr<SftResult> Finish() const;

 private:
  SftSession(SftSettings settings, std::string root)
      : settings_(std::move(settings)), root_(std::move(root)) {}
  [[nodiscard]] absl::Status LoadData(const std::string& model);
  // With the steps that the data make. Precondition: they are loaded.
  [[nodiscard]] sft::SftConfig TrainerConfig() const;
  [[nodiscard]] absl::Status Restore(const std::string& folder);
  // Reads the records: those that the newest checkpoint has, and those before it.
  [[nodiscard]] absl::Status OpenLog(const SftRunFile& file);
  // What the next checkpoint says of the run.
  [[nodiscard]] SftRunFile CheckpointFile() const;
  [[nodiscard]] absl::Status Measure(SftStepRecord* record,
                                     const std::function<void(const std::string&)>& say,
                                     const std::function<void()>& between);

  // Describes the weights with the best dev loss so far; null: the newest.
  [[nodiscard]] adapters::ModelCard Card(const SftStepRecord* best) const;

  const SftSettings settings_;
  const std::string root_;                // of the run
  std::optional<CheckpointStore> store_;  // none: only checked
  SftData data_;
  SftLength length_;
  std::optional<sft::BatchPlan> order_;
  std::unique_ptr<sft::SftTrainer> trainer_;
  std::vector<SftStepRecord> records_;
  std::optional<StepLog<SftStepRecord>> log_;
  size_t logged_ = 0;  // of records_
  std::optional<nn::LoraWeights> best_weights_;
  int64_t saved_step_ = -1;  // of the newest checkpoint
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_SESSION_H_
