#ifndef MELLOW_SERVICES_LEARNER_BASE_CHECKPOINT_STORE_H_
#define MELLOW_SERVICES_LEARNER_BASE_CHECKPOINT_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mellow::learner {

// The checkpoints of one run: ROOT/step-00000012, each whole or absent. A checkpoint is written
// into a folder beside it, every file is synced, a manifest with the sha256 of every file is
// written last, and the folder is renamed into place; so SIGKILL or a full disk leaves the one
// before it. Not thread-safe.
class CheckpointStore {
 public:
  struct Keep {
    int checkpoints = 1;  // newest ones, at least 1
    // The sub-folder that stays, alone and where it is, of a checkpoint that goes; empty: none.
    std::string part;
    int parts = 0;  // newest ones, those of checkpoints among them; 0: all
  };

  // Makes ROOT. Errors of MakeFolders. What an interrupted write left is removed.
  [[nodiscard]] static absl::StatusOr<CheckpointStore> Open(std::string root, Keep keep);

  // `write` fills the folder that it is given (files and sub-folders). Its error, or that of the
  // disk (ResourceExhausted when full), is returned and nothing is left behind. Replaces a
  // checkpoint of the same step. Older ones than Keep says are removed afterwards; those of later
  // steps, which Newest found damaged, are neither counted nor removed, but replaced when their
  // step is saved.
  [[nodiscard]] absl::Status Save(
      int64_t step, const std::function<absl::Status(const std::string& folder)>& write);

  struct Found {
    int64_t step;
    std::string folder;
  };
  // The newest checkpoint whose manifest and files are right; damaged ones are skipped and
  // described in `damaged` (if not null). Nothing: there is none. Damage is a file that is missing
  // or another; FailedPrecondition: a checkpoint of a newer program. Errors of the disk and of the
  // process (no more open files, say): what cannot be looked at may be whole.
  [[nodiscard]] absl::StatusOr<std::optional<Found>> Newest(
      std::vector<std::string>* damaged = nullptr) const;

  // Removes every checkpoint, as if newer ones had been saved: of a run that does not go on. What
  // cannot be removed stays.
  void RemoveAll();

  [[nodiscard]] std::string FolderOf(int64_t step) const { return FolderOf(root_, step); }
  // The folder of a checkpoint of the run that has `root`.
  [[nodiscard]] static std::string FolderOf(const std::string& root, int64_t step);
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  CheckpointStore(std::string root, Keep keep) : root_(std::move(root)), keep_(std::move(keep)) {}
  [[nodiscard]] absl::StatusOr<std::vector<int64_t>> Steps() const;  // of every folder, ascending
  // More than the part that stays is there; it may be damaged.
  [[nodiscard]] absl::StatusOr<bool> IsCheckpoint(int64_t step) const;
  // `newest`: the step that was saved.
  void RemoveOld(int64_t newest);
  // Removes what goes of a checkpoint; `whole`: the part too. False: something is left of it.
  [[nodiscard]] bool Remove(int64_t step, bool whole) const;

  std::string root_;
  Keep keep_;
  // The steps that have, or may have, something to remove some day, so that a checkpoint costs the
  // same however many came before it; true: it is a checkpoint. None: not looked at yet.
  std::optional<std::map<int64_t, bool>> removable_;
};

// Every file below `folder` against its manifest. DataLoss: a file is missing, extra, or another;
// NotFound: no manifest.
[[nodiscard]] absl::Status VerifyManifest(const std::string& folder);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_CHECKPOINT_STORE_H_
