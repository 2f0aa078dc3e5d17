#include "services/orchestrator/ledger/adapter_store.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace mellow::orchestrator {
namespace {

constexpr char kConfig[] = "adapter_config.json";
constexpr char kWeights[] = "adapter_model.safetensors";
constexpr char kCard[] = "README.md";

}  // namespace

std::string AdapterStore::FolderOf(const std::string& run_id, int64_t version) const {
  return absl::StrCat(folder_, "/", run_id, "/v", version);
}

absl::StatusOr<std::string> AdapterStore::Write(const std::string& run_id, int64_t version,
                                                const adapters::PeftFiles& files) {
  MELLOW_RETURN_IF_ERROR(MakeFolders(absl::StrCat(folder_, "/", run_id)));
  const std::string path = FolderOf(run_id, version);
  MELLOW_RETURN_IF_ERROR(adapters::WritePeftFiles(path, files));
  return path;
}

absl::StatusOr<std::string> AdapterStore::PeftContentHash(const adapters::PeftFiles& files) {
  MELLOW_ASSIGN_OR_RETURN(const nn::LoraWeights lora, adapters::ParsePeft(files));
  return adapters::ContentHash(lora);
}

absl::Status AdapterStore::Check(const adapters::PeftFiles& files,
                                 const std::string& sha256) const {
  MELLOW_ASSIGN_OR_RETURN(const std::string hash, hash_of_(files));
  if (hash == sha256) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the adapter's tensors hash to ", hash, ", not to ", sha256));
}

absl::StatusOr<adapters::PeftFiles> AdapterStore::Read(const std::string& folder,
                                                       const std::string& sha256) const {
  // A process that ended while it replaced the folder left it under another name.
  MELLOW_RETURN_IF_ERROR(AtomicFolder::RestoreReplaced(folder));
  adapters::PeftFiles files;
  MELLOW_ASSIGN_OR_RETURN(files.config_json, ReadFile(absl::StrCat(folder, "/", kConfig)));
  MELLOW_ASSIGN_OR_RETURN(files.safetensors, ReadFile(absl::StrCat(folder, "/", kWeights)));
  // Folders of earlier versions have none.
  files.model_card = ReadFile(absl::StrCat(folder, "/", kCard)).value_or("");
  // A flipped bit: what every node would refuse is found here, where there may be another copy.
  if (const absl::Status whole = Check(files, sha256); !whole.ok())
    return absl::DataLossError(absl::StrCat(folder, ": damaged: ", whole.message()));
  return files;
}

bool AdapterStore::Has(const std::string& folder) const {
  std::error_code ignored;
  return std::filesystem::exists(absl::StrCat(folder, "/", kWeights), ignored) &&
         std::filesystem::exists(absl::StrCat(folder, "/", kConfig), ignored);
}

void AdapterStore::RemoveOthers(const std::string& run_id, const std::set<std::string>& keep) {
  // By name: the ledger has paths as they were written when --data-dir was spelled in another way.
  std::set<std::filesystem::path> names;
  for (const std::string& folder : keep) names.insert(std::filesystem::path(folder).filename());
  std::error_code error;
  const std::string run_folder = absl::StrCat(folder_, "/", run_id);
  for (const auto& entry : std::filesystem::directory_iterator(run_folder, error)) {
    if (names.contains(entry.path().filename())) continue;
    std::error_code failed;
    std::filesystem::remove_all(entry.path(), failed);
    if (failed) {
      obs::Log(obs::Severity::kWarning, "cannot remove an old adapter",
               {{"path", entry.path().string()}, {"error", failed.message()}});
    }
  }
}

}  // namespace mellow::orchestrator
