#include "services/learner/base/checkpoint_store.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/json/value.h"

namespace mellow::learner {
namespace {

namespace fs = std::filesystem;

constexpr char kManifest[] = "manifest.json";
constexpr char kPrefix[] = "step-";
constexpr int kFormat = 1;

// Relative path -> sha256 of every file below `folder` but the manifest itself.
absl::StatusOr<std::map<std::string, std::string>> HashFiles(const std::string& folder) {
  std::map<std::string, std::string> hashes;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    const std::string relative = fs::relative(it->path(), folder, error).string();
    if (relative == kManifest) continue;
    MELLOW_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(it->path().string()));
    Sha256 sha;
    sha.Update(file->bytes().data(), file->bytes().size());
    hashes[relative] = sha.HexDigest();
  }
  if (error) return ErrnoStatus(error.value(), folder);
  return hashes;
}

}  // namespace

absl::Status VerifyManifest(const std::string& folder) {
  const absl::StatusOr<std::string> text = ReadFile(folder + "/" + kManifest);
  // Something else in its place: a folder, a pointer of Git LFS.
  if (absl::IsInvalidArgument(text.status())) return absl::DataLossError(text.status().message());
  MELLOW_RETURN_IF_ERROR(text.status());
  const json::Value manifest = json::Parse(*text, "").value_or(json::Value());
  const json::Value& files = manifest["files"];
  if (!manifest["format"].is_integer() || !files.is_object())
    return absl::DataLossError(
        absl::StrCat(folder, ": manifest.json is not a checkpoint manifest"));
  if (manifest["format"] != kFormat)
    return absl::FailedPreconditionError(absl::StrCat(folder, ": checkpoint format ",
                                                      json::Write(manifest["format"]),
                                                      ", this program reads ", kFormat));
  MELLOW_ASSIGN_OR_RETURN(const auto found, HashFiles(folder));
  std::vector<std::string> problems;
  for (const auto& [name, sha] : files.members()) {
    const auto it = found.find(name);
    if (it == found.end()) {
      problems.push_back(absl::StrCat("missing ", name));
    } else if (!sha.is_string() || sha.string() != it->second) {
      problems.push_back(absl::StrCat("changed ", name));
    }
  }
  for (const auto& [name, sha] : found)
    if (!files.Has(name)) problems.push_back(absl::StrCat("unexpected ", name));
  if (problems.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(folder, ": ", absl::StrJoin(problems, "; ")));
}

absl::StatusOr<CheckpointStore> CheckpointStore::Open(std::string root, Keep keep) {
  MELLOW_RETURN_IF_ERROR(MakeFolders(root));
  std::error_code error;
  std::vector<std::string> aside;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (absl::StartsWith(name, ".") && absl::EndsWith(name, ".tmp"))
      fs::remove_all(it->path(), ignored);
    absl::string_view replaced = name;
    if (absl::ConsumePrefix(&replaced, ".") && absl::ConsumeSuffix(&replaced, ".replaced"))
      aside.push_back(absl::StrCat(root, "/", replaced));
  }
  if (error) return ErrnoStatus(error.value(), root);
  for (const std::string& folder : aside)
    MELLOW_RETURN_IF_ERROR(AtomicFolder::RestoreReplaced(folder));
  keep.checkpoints = std::max(keep.checkpoints, 1);
  return CheckpointStore(std::move(root), std::move(keep));
}

std::string CheckpointStore::FolderOf(const std::string& root, int64_t step) {
  return absl::StrCat(root, "/", absl::StrFormat("%s%08d", kPrefix, step));
}

absl::StatusOr<std::vector<int64_t>> CheckpointStore::Steps() const {
  std::vector<int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator it(root_, error), end; !error && it != end; it.increment(error)) {
    absl::string_view name;
    const std::string filename = it->path().filename().string();
    name = filename;
    int64_t step = 0;
    if (absl::ConsumePrefix(&name, kPrefix) && absl::SimpleAtoi(name, &step)) steps.push_back(step);
  }
  if (error) return ErrnoStatus(error.value(), root_);
  std::sort(steps.begin(), steps.end());
  return steps;
}

absl::Status CheckpointStore::Save(
    int64_t step, const std::function<absl::Status(const std::string& folder)>& write) {
  const std::string folder = FolderOf(step);
  MELLOW_ASSIGN_OR_RETURN(auto staged, AtomicFolder::Create(folder));
  MELLOW_RETURN_IF_ERROR(
      Annotate(write(staged->staging()), absl::StrCat("writing the checkpoint of step ", step)));
  MELLOW_ASSIGN_OR_RETURN(const auto hashes, HashFiles(staged->staging()));
  const json::Value manifest = {{"format", kFormat}, {"step", step}, {"files", hashes}};
  MELLOW_RETURN_IF_ERROR(
      WriteFileSynced(staged->staging() + "/" + kManifest,
                      json::Write(manifest, {.indentation = 1, .sorted = true})));
  MELLOW_RETURN_IF_ERROR(staged->Commit());
  RemoveOld(step);
  return absl::OkStatus();
}

absl::StatusOr<bool> CheckpointStore::IsCheckpoint(int64_t step) const {
  std::error_code error;
  for (fs::directory_iterator it(FolderOf(step), error), end; !error && it != end;
       it.increment(error)) {
    if (keep_.part.empty() || it->path().filename() != keep_.part) return true;
  }
  if (error) return ErrnoStatus(error.value(), FolderOf(step));
  return false;
}

bool CheckpointStore::Remove(int64_t step, bool whole) const {
  const std::string folder = FolderOf(step);
  std::error_code error;
  if (whole) {
    fs::remove_all(folder, error);
    return !error;
  }
  // The manifest goes last: until then it says that something is missing.
  std::vector<fs::path> going;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename() != keep_.part && it->path().filename() != kManifest)
      going.push_back(it->path());
  }
  going.push_back(absl::StrCat(folder, "/", kManifest));
  for (size_t i = 0; i < going.size() && !error; ++i) fs::remove_all(going[i], error);
  return !error;
}

void CheckpointStore::RemoveAll() {
  for (const int64_t step : Steps().value_or(std::vector<int64_t>())) {
    if (IsCheckpoint(step).value_or(true)) (void)Remove(step, /*whole=*/keep_.part.empty());
  }
  removable_.reset();
}

// What cannot be removed does no harm, and is tried again with the next checkpoint.
void CheckpointStore::RemoveOld(int64_t newest) {
  if (!removable_) {
    const absl::StatusOr<std::vector<int64_t>> steps = Steps();
    if (!steps.ok()) return;
    removable_.emplace();
    for (const int64_t step : *steps) (*removable_)[step] = IsCheckpoint(step).value_or(true);
  }
  (*removable_)[newest] = true;
  int checkpoints = 0;
  int parts = 0;
  std::vector<int64_t> gone;
  for (auto it = removable_->rbegin(); it != removable_->rend(); ++it) {
    auto& [step, checkpoint] = *it;
    if (step > newest) continue;
    ++parts;
    if (checkpoint && ++checkpoints <= keep_.checkpoints) continue;
    const bool whole = keep_.part.empty() || (keep_.parts > 0 && parts > keep_.parts);
    if ((whole || checkpoint) && !Remove(step, whole)) continue;
    checkpoint = false;
    // The parts that stay for ever are not looked at again.
    if (whole || keep_.parts == 0) gone.push_back(step);
  }
  for (const int64_t step : gone) removable_->erase(step);
}

absl::StatusOr<std::optional<CheckpointStore::Found>> CheckpointStore::Newest(
    std::vector<std::string>* damaged) const {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<int64_t> steps, Steps());
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    MELLOW_ASSIGN_OR_RETURN(const bool is_checkpoint, IsCheckpoint(*step));
    if (!is_checkpoint) continue;
    const absl::Status status = VerifyManifest(FolderOf(*step));
    if (status.ok()) return Found{*step, FolderOf(*step)};
    // Nothing else is damage: going back behind a checkpoint that a newer program can read, or this
    // one in a minute, would lose steps in silence.
    if (!absl::IsDataLoss(status) && !absl::IsNotFound(status)) return status;
    if (damaged != nullptr) damaged->push_back(std::string(status.message()));
  }
  return std::optional<Found>();
}

}  // namespace mellow::learner
