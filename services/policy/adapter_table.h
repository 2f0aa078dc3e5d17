#ifndef MELLOW_SERVICES_POLICY_ADAPTER_TABLE_H_
#define MELLOW_SERVICES_POLICY_ADAPTER_TABLE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/seq2seq_model.h"
#include "common/sync/mutex.h"
#include "services/wire/publication.h"

namespace mellow::policy {

// One version of the weights. Immutable; whoever holds the pointer has pinned it.
struct ServedAdapter {
  int64_t version = 0;
  std::string sha256;
  std::shared_ptr<const nn::PreparedAdapter> weights;  // null: the base model
};

using wire::Publication;

// The versions that a node can serve: the base model (0), the newest `capacity` adapters, the
// champion, the last few candidates and the last reference. Thread-safe; a swap publishes a
// pointer.
class AdapterTable {
 public:
  // Those whose publication is longest ago go first.
  static constexpr size_t kCandidates = 4;

  explicit AdapterTable(int capacity);

  // OK also when that version is there with the same hash. FailedPrecondition: older than the
  // newest (kNewest only). AlreadyExists: the same version with another hash.
  // InvalidArgument: version < 1.
  [[nodiscard]] absl::Status Publish(std::shared_ptr<const ServedAdapter> adapter, Publication as);
  // Would Publish take it? (Before the work of preparing it.) The same errors; the adapter itself
  // when it is here already, and can be published as something else; else null.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const ServedAdapter>> CheckPublish(
      int64_t version, const std::string& sha256, Publication as) const;
  // From now on there is no champion.
  void ClearChampion();

  // NotFound: names the versions that are there.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const ServedAdapter>> Get(int64_t version) const;
  [[nodiscard]] std::shared_ptr<const ServedAdapter> Newest() const;
  // Null: none.
  [[nodiscard]] std::shared_ptr<const ServedAdapter> Champion() const;
  // The champion; without one the base model, for nobody said yet that users should get another.
  [[nodiscard]] std::shared_ptr<const ServedAdapter> ForUsers() const;
  // The base model and the newest ones, oldest first.
  [[nodiscard]] std::vector<std::shared_ptr<const ServedAdapter>> List() const;

 private:
  using Adapters = std::map<int64_t, std::shared_ptr<const ServedAdapter>>;

  absl::StatusOr<std::shared_ptr<const ServedAdapter>> CheckLocked(int64_t version,
                                                                   const std::string& sha256,
                                                                   Publication as) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The versions, the champion, the candidates and the reference.
  Adapters AllLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t capacity_;
  mutable Mutex mutex_;
  Adapters adapters_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const ServedAdapter> champion_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<const ServedAdapter>> candidates_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const ServedAdapter> reference_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_ADAPTER_TABLE_H_
