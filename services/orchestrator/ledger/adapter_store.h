#ifndef MELLOW_SERVICES_ORCHESTRATOR_LEDGER_ADAPTER_STORE_H_
#define MELLOW_SERVICES_ORCHESTRATOR_LEDGER_ADAPTER_STORE_H_

#include <functional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/peft.h"

namespace mellow::orchestrator {

// The published adapters as PEFT folders, so that a policy node that restarts gets its adapter even
// while the learner is away or works on something else. Thread-safe for different runs.
class AdapterStore {
 public:
  // The content hash of an adapter's files (AdapterRef::sha256), or why they are no adapter.
  using HashOf = std::function<absl::StatusOr<std::string>(const adapters::PeftFiles& files)>;

  explicit AdapterStore(std::string folder, HashOf hash_of = PeftContentHash)
      : folder_(std::move(folder)), hash_of_(std::move(hash_of)) {}

  // Where Write puts it.
  [[nodiscard]] std::string FolderOf(const std::string& run_id, int64_t version) const;
  // Whole or not at all; replaces an equal one. Returns the folder.
  [[nodiscard]] absl::StatusOr<std::string> Write(const std::string& run_id, int64_t version,
                                                  const adapters::PeftFiles& files);
  // What has this content hash. NotFound: its files are not there. DataLoss, naming the folder:
  // they are damaged.
  [[nodiscard]] absl::StatusOr<adapters::PeftFiles> Read(const std::string& folder,
                                                         const std::string& sha256) const;
  // DataLoss: the files are not those of the hash; else why they are no adapter.
  [[nodiscard]] absl::Status Check(const adapters::PeftFiles& files,
                                   const std::string& sha256) const;
  // Whether Read would find the folder's files; they may still be damaged.
  [[nodiscard]] bool Has(const std::string& folder) const;
  // Removes the run's folders but those in `keep`. Leftovers cost only space, so errors are logged.
  void RemoveOthers(const std::string& run_id, const std::set<std::string>& keep);

 private:
  static absl::StatusOr<std::string> PeftContentHash(const adapters::PeftFiles& files);

  const std::string folder_;
  const HashOf hash_of_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_LEDGER_ADAPTER_STORE_H_
