#ifndef MELLOW_SERVICES_LEARNER_BASE_RUN_CHECKPOINT_H_
#define MELLOW_SERVICES_LEARNER_BASE_RUN_CHECKPOINT_H_

// What a checkpoint has, whatever the method: trainer/ (the trainer's state), adapter/ (PEFT's
// format), and run.json (settings and records, whose text is the method's); and beside all of a
// run's checkpoints steps.jsonl.

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/adapters/model_card.h"
#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/lora.h"
#include "common/obs/log.h"
#include "services/learner/base/checkpoint_store.h"
#include "services/learner/base/step_log.h"

namespace mellow::learner {

// Below a checkpoint's folder.
inline constexpr char kAdapterPart[] = "adapter";
inline constexpr char kAdapterFolder[] = "/adapter";
inline constexpr char kTrainerFolder[] = "/trainer";
inline constexpr char kRunFile[] = "/run.json";

// The newest whole checkpoint; damaged ones are logged.
[[nodiscard]] absl::StatusOr<std::optional<CheckpointStore::Found>> NewestCheckpoint(
    const CheckpointStore& store);

// run.json as `parse` reads it; its error names the folder.
template <typename Parse>
[[nodiscard]] auto ReadRunFile(const std::string& folder, const Parse& parse)
    -> decltype(parse(std::string())) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + kRunFile));
  auto file = parse(text);
  if (!file.ok()) return Annotate(file.status(), folder);
  return file;
}

// The log of the steps of the run in `root`, as StepLog::Open; damaged lines are logged.
template <typename Record>
[[nodiscard]] absl::StatusOr<StepLog<Record>> OpenStepLog(const std::string& root,
                                                          const std::map<int64_t, Record>& known,
                                                          std::map<int64_t, Record>* records) {
  const std::string path = root + "/steps.jsonl";
  int64_t damaged = 0;
  absl::StatusOr<StepLog<Record>> log = StepLog<Record>::Open(path, known, records, &damaged);
  if (damaged > 0) {
    obs::Log(obs::Severity::kWarning, "records of steps are damaged and left out",
             {{"file", path}, {"lines", damaged}});
  }
  return log;
}

// The adapter that a run begins with; its errors begin with `field`. An empty folder: a fresh one.
[[nodiscard]] absl::StatusOr<std::optional<nn::LoraWeights>> ReadStart(const std::string& folder,
                                                                       absl::string_view field);

// Fills `folder`, which exists.
template <typename Trainer>
[[nodiscard]] absl::Status WriteCheckpoint(const std::string& folder, const Trainer& trainer,
                                           const adapters::ModelCard& card,
                                           const std::string& run_file) {
  MELLOW_RETURN_IF_ERROR(MakeFolders(folder + kTrainerFolder));
  MELLOW_RETURN_IF_ERROR(trainer.SaveState(folder + kTrainerFolder));
  MELLOW_RETURN_IF_ERROR(
      adapters::WritePeftFolder(folder + kAdapterFolder, trainer.Adapter(), card));
  return WriteFileSynced(folder + kRunFile, run_file);
}

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_RUN_CHECKPOINT_H_
