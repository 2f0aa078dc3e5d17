#include "services/learner/base/owner_epoch.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace mellow::learner {
namespace {

// Far from what a number of 64 bits can hold, so that there is always a larger one.
constexpr int64_t kLargestEpoch = int64_t{1} << 62;

}  // namespace

absl::Status OwnerEpoch::Load() {
  if (loaded_) return absl::OkStatus();
  const absl::StatusOr<std::string> text = ReadFile(path_);
  if (text.ok()) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(*text, absl::MaxSplits(' ', 1));
    if (!absl::SimpleAtoi(parts.first, &epoch_) || epoch_ < 0 || epoch_ > kLargestEpoch)
      return absl::DataLossError(absl::StrCat(
          path_, ": is no epoch; remove the file when no other orchestrator uses this learner"));
    owner_ = parts.second;
  } else if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  loaded_ = true;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> OwnerEpoch::Claim(int64_t shown, const std::string& owner) {
  MutexLock lock(&mutex_);
  MELLOW_RETURN_IF_ERROR(CheckLocked(shown));
  if (shown != 0 && shown == epoch_) return epoch_;
  // A larger number than ours is of a learner whose folder this one does not have.
  const int64_t epoch = shown == 0 ? epoch_ + 1 : shown;
  if (epoch > kLargestEpoch)
    return absl::InvalidArgumentError(
        absl::StrCat("epoch ", epoch, ": must be at most ", kLargestEpoch));
  MELLOW_RETURN_IF_ERROR(MakeFolders(path_.substr(0, path_.rfind('/'))));
  MELLOW_RETURN_IF_ERROR(WriteFileAtomic(path_, absl::StrCat(epoch, " ", owner)));
  epoch_ = epoch;
  owner_ = owner;
  return epoch_;
}

absl::Status OwnerEpoch::Check(int64_t shown) {
  MutexLock lock(&mutex_);
  return CheckLocked(shown);
}

absl::Status OwnerEpoch::CheckLocked(int64_t shown) {
  MELLOW_RETURN_IF_ERROR(Load());
  if (shown == 0 || shown >= epoch_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "epoch ", shown, ": this learner follows ", owner_.empty() ? "a newer orchestrator" : owner_,
      " since (epoch ", epoch_, "); stop that one and restart this one to take the learner back"));
}

}  // namespace mellow::learner
