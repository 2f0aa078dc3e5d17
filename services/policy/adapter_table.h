#ifndef MELLOW_SERVICES_POLICY_ADAPTER_TABLE_H_
#define MELLOW_SERVICES_POLICY_ADAPTER_TABLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/seq2seq_model.h"
#include "common/sync/mutex.h"

namespace mellow::policy {

// One version of the weights. Immutable; whoever holds the pointer has pinned it.
struct ServedAdapter {
  int64_t version = 0;
  std::string sha256;
  std::shared_ptr<const nn::PreparedAdapter> weights;  // null: the bare base model
};

// The versions that a node can serve: the base model (0) and the newest `capacity` adapters.
// Thread-safe; a swap publishes a pointer.
class AdapterTable {
 public:
  explicit AdapterTable(int capacity);

  // OK also when that version is there with the same hash. FailedPrecondition: older than the
  // newest. AlreadyExists: the same version with another hash. InvalidArgument: version < 1.
  [[nodiscard]] absl::Status Publish(std::shared_ptr<const ServedAdapter> adapter);
  // Would Publish take it? (Before the work of preparing it.) The same errors; *already_published:
  // nothing is to be done.
  [[nodiscard]] absl::Status CheckPublish(int64_t version, const std::string& sha256,
                                          bool* already_published) const;
  // NotFound: names the versions that are there.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const ServedAdapter>> Get(int64_t version) const;
  [[nodiscard]] std::shared_ptr<const ServedAdapter> Newest() const;
  // Oldest first.
  [[nodiscard]] std::vector<std::shared_ptr<const ServedAdapter>> List() const;

 private:
  absl::Status CheckLocked(int64_t version, const std::string& sha256,
                           bool* already_published) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t capacity_;
  mutable Mutex mutex_;
  std::map<int64_t, std::shared_ptr<const ServedAdapter>> adapters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_ADAPTER_TABLE_H_
