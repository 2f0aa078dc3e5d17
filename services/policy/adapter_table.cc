#include "services/policy/adapter_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"

namespace mellow::policy {

AdapterTable::AdapterTable(int capacity) : capacity_(static_cast<size_t>(capacity)) {
  adapters_[0] = std::make_shared<const ServedAdapter>();
}

absl::Status AdapterTable::CheckPublish(int64_t version, const std::string& sha256,
                                        bool* already_published) const {
  MutexLock lock(&mutex_);
  return CheckLocked(version, sha256, already_published);
}

absl::Status AdapterTable::CheckLocked(int64_t version, const std::string& sha256,
                                       bool* already_published) const {
  *already_published = false;
  if (version < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("adapter.version ", version, ": must be at least 1 (0 is the base model)"));
  if (auto it = adapters_.find(version); it != adapters_.end()) {
    if (it->second->sha256 != sha256)
      return absl::AlreadyExistsError(absl::StrCat("adapter version ", version,
                                                   " is here with sha256 ", it->second->sha256,
                                                   ", not ", sha256));
    *already_published = true;
    return absl::OkStatus();
  }
  const int64_t newest = adapters_.rbegin()->first;
  if (version < newest)
    return absl::FailedPreconditionError(
        absl::StrCat("adapter version ", version, " is older than the newest, ", newest));
  return absl::OkStatus();
}

absl::Status AdapterTable::Publish(std::shared_ptr<const ServedAdapter> adapter) {
  MutexLock lock(&mutex_);
  bool already_published = false;
  MELLOW_RETURN_IF_ERROR(CheckLocked(adapter->version, adapter->sha256, &already_published));
  if (already_published) return absl::OkStatus();
  const int64_t version = adapter->version;
  adapters_.emplace(version, std::move(adapter));
  while (adapters_.size() > capacity_ + 1)
    adapters_.erase(std::next(adapters_.begin()));  // never the base model
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ServedAdapter>> AdapterTable::Get(int64_t version) const {
  MutexLock lock(&mutex_);
  if (auto it = adapters_.find(version); it != adapters_.end()) return it->second;
  return absl::NotFoundError(absl::StrCat(
      "adapter_version ", version, " is not on this node (it has ",
      absl::StrJoin(adapters_, ", ",
                    [](std::string* out, const auto& entry) { absl::StrAppend(out, entry.first); }),
      ")"));
}

std::shared_ptr<const ServedAdapter> AdapterTable::Newest() const {
  MutexLock lock(&mutex_);
  return adapters_.rbegin()->second;
}

std::vector<std::shared_ptr<const ServedAdapter>> AdapterTable::List() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<const ServedAdapter>> list;
  for (const auto& [version, adapter] : adapters_) list.push_back(adapter);
  return list;
}

}  // namespace mellow::policy
