#include "services/learner/base/run_checkpoint.h"

#include <utility>
#include <vector>

#include "common/obs/log.h"

namespace mellow::learner {

absl::StatusOr<std::optional<CheckpointStore::Found>> NewestCheckpoint(
    const CheckpointStore& store) {
  std::vector<std::string> damaged;
  auto newest = store.Newest(&damaged);
  for (const std::string& problem : damaged)
    obs::Log(obs::Severity::kWarning, "damaged checkpoint skipped", {{"problem", problem}});
  return newest;
}

absl::StatusOr<std::optional<nn::LoraWeights>> ReadStart(const std::string& folder,
                                                         absl::string_view field) {
  if (folder.empty()) return std::optional<nn::LoraWeights>();
  absl::StatusOr<nn::LoraWeights> read = adapters::ReadPeftFolder(folder);
  if (!read.ok()) return Annotate(read.status(), field);
  return std::optional(*std::move(read));
}

}  // namespace mellow::learner
