#include "services/learner/sft/sft_archive.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "services/learner/base/run_id.h"

namespace mellow::learner {
namespace {

namespace fs = std::filesystem;

constexpr char kFile[] = "/finished.json";
constexpr char kRun[] = "run";
constexpr char kSha256[] = "adapter_sha256";

// The whole numbers of the file, by name; to be written when `f` is const, else to be read into.
template <typename Finished>
auto NumbersOf(Finished& f) {
  auto& s = f.status;
  return std::vector<std::pair<const char*, decltype(&s.train_pairs)>>{
      {"total_steps", &s.length.total_steps},
      {"warmup_steps", &s.length.warmup_steps},
      {"trainable_parameters", &s.trainable_parameters},
      {"total_parameters", &s.total_parameters},
      {"train_pairs", &s.train_pairs},
      {"dev_pairs", &s.dev_pairs},
      {"truncated_sources", &s.truncated_sources},
      {"truncated_targets", &s.truncated_targets},
  };
}

std::string FolderOf(const std::string& checkpoint_dir, const std::string& run_id) {
  return absl::StrCat(checkpoint_dir, "/", run_id);
}

absl::StatusOr<FinishedSft> Parse(const std::string& text) {
  const absl::Status bad = absl::DataLossError("not a record of a finished run");
  const json::Value object = json::Parse(text, "").value_or(json::Value());
  FinishedSft finished;
  if (!object.Has(kRun) || !object.Get(kSha256, &finished.status.result.sha256)) return bad;
  MELLOW_ASSIGN_OR_RETURN(finished.file, SftRunFileOf(object[kRun]));
  for (const auto& [name, number] : NumbersOf(finished)) {
    if (!object.Get(name, number)) return bad;
  }
  SftStatus& status = finished.status;
  status.state = SftState::kDone;
  status.run_id = finished.file.run_id;
  status.step = status.length.total_steps;
  if (const SftStepRecord* best = LowestDevLoss(finished.file.records)) status.best = *best;
  return finished;
}

}  // namespace

absl::Status KeepFinished(const std::string& checkpoint_dir, const FinishedSft& finished) {
  const std::string path = FolderOf(checkpoint_dir, finished.file.run_id) + kFile;
  std::error_code ignored;
  if (fs::exists(path, ignored)) return absl::OkStatus();
  json::Value object = {{kSha256, finished.status.result.sha256}, {kRun, ValueOf(finished.file)}};
  for (const auto& [name, number] : NumbersOf(finished)) object.Add(name, *number);
  return WriteFileAtomic(path, json::Write(object, {.indentation = 1, .sorted = true}));
}

absl::StatusOr<FinishedSft> ReadFinished(const std::string& checkpoint_dir,
                                         const std::string& run_id) {
  MELLOW_RETURN_IF_ERROR(CheckRunId(run_id));
  const std::string folder = FolderOf(checkpoint_dir, run_id);
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + kFile));
  absl::StatusOr<FinishedSft> finished = Parse(text);
  if (finished.ok() && finished->file.run_id != run_id)
    finished = absl::DataLossError(absl::StrCat("is of run ", finished->file.run_id));
  if (!finished.ok()) return Annotate(finished.status(), folder + kFile);
  finished->status.result.folder = AdapterFolderOf(folder);
  return finished;
}

}  // namespace mellow::learner
