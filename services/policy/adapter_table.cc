#include "services/policy/adapter_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"

namespace mellow::policy {

AdapterTable::AdapterTable(int capacity) : capacity_(static_cast<size_t>(capacity)) {
  adapters_[0] = std::make_shared<const ServedAdapter>();
}

AdapterTable::Adapters AdapterTable::AllLocked() const {
  Adapters all = adapters_;
  for (const auto& adapter : {champion_, reference_}) {
    if (adapter != nullptr) all.emplace(adapter->version, adapter);
  }
  for (const auto& adapter : candidates_) all.emplace(adapter->version, adapter);
  return all;
}

absl::StatusOr<std::shared_ptr<const ServedAdapter>> AdapterTable::CheckPublish(
    int64_t version, const std::string& sha256, Publication as) const {
  MutexLock lock(&mutex_);
  return CheckLocked(version, sha256, as);
}

absl::StatusOr<std::shared_ptr<const ServedAdapter>> AdapterTable::CheckLocked(
    int64_t version, const std::string& sha256, Publication as) const {
  if (version < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("adapter.version ", version, ": must be at least 1 (0 is the base model)"));
  const Adapters all = AllLocked();
  const auto known = all.find(version);
  if (known != all.end() && known->second->sha256 != sha256)
    return absl::AlreadyExistsError(absl::StrCat("adapter version ", version,
                                                 " is here with sha256 ", known->second->sha256,
                                                 ", not ", sha256));
  const int64_t newest = adapters_.rbegin()->first;
  if (as == Publication::kNewest && version < newest && !adapters_.contains(version))
    return absl::FailedPreconditionError(
        absl::StrCat("adapter version ", version, " is older than the newest, ", newest));
  return known == all.end() ? nullptr : known->second;
}

absl::Status AdapterTable::Publish(std::shared_ptr<const ServedAdapter> adapter, Publication as) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<const ServedAdapter> known,
                          CheckLocked(adapter->version, adapter->sha256, as));
  if (known != nullptr) adapter = known;
  // It is kept as what it is now, or comes last.
  const bool candidate = std::erase(candidates_, adapter) > 0;
  if (as == Publication::kCandidate) {
    if (known == nullptr || candidate) candidates_.push_back(std::move(adapter));
    if (candidates_.size() > kCandidates) candidates_.pop_front();
    return absl::OkStatus();
  }
  if (as == Publication::kChampion) {
    champion_ = std::move(adapter);
    return absl::OkStatus();
  }
  if (as == Publication::kReference) {
    reference_ = std::move(adapter);
    return absl::OkStatus();
  }
  const int64_t version = adapter->version;
  adapters_.emplace(version, std::move(adapter));
  while (adapters_.size() > capacity_ + 1)
    adapters_.erase(std::next(adapters_.begin()));  // never the base model
  return absl::OkStatus();
}

void AdapterTable::ClearChampion() {
  MutexLock lock(&mutex_);
  champion_ = nullptr;
}

absl::StatusOr<std::shared_ptr<const ServedAdapter>> AdapterTable::Get(int64_t version) const {
  MutexLock lock(&mutex_);
  const Adapters all = AllLocked();
  if (auto it = all.find(version); it != all.end()) return it->second;
  return absl::NotFoundError(absl::StrCat(
      "adapter_version ", version, " is not on this node (it has ",
      absl::StrJoin(all, ", ",
                    [](std::string* out, const auto& entry) { absl::StrAppend(out, entry.first); }),
      ")"));
}

std::shared_ptr<const ServedAdapter> AdapterTable::Newest() const {
  MutexLock lock(&mutex_);
  return adapters_.rbegin()->second;
}

std::shared_ptr<const ServedAdapter> AdapterTable::Champion() const {
  MutexLock lock(&mutex_);
  return champion_;
}

std::shared_ptr<const ServedAdapter> AdapterTable::ForUsers() const {
  MutexLock lock(&mutex_);
  return champion_ != nullptr ? champion_ : adapters_.begin()->second;
}

std::vector<std::shared_ptr<const ServedAdapter>> AdapterTable::List() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<const ServedAdapter>> list;
  for (const auto& [version, adapter] : adapters_) list.push_back(adapter);
  return list;
}

}  // namespace mellow::policy
