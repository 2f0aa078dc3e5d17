#include "services/policy/adapter_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace mellow::policy {
namespace {

constexpr char kChampionHelp[] =
    "What users get when they ask for no version; none: the base model.";

// The newest adapter and a champion.
constexpr size_t kGivenAdapters = 2;

}  // namespace

AdapterExchange::AdapterExchange(nn::Seq2SeqModel* model, AdapterTable* adapters,
                                 obs::Metrics* metrics)
    : model_(model),
      adapters_(adapters),
      metrics_(metrics),
      adapter_version_(
          metrics->AddGauge("mellow_policy_adapter_version",
                            "Version of the newest adapter of this node; 0: it has none.")) {}

absl::Status AdapterExchange::Publish(wire::ReceivedAdapter received) {
  if (received.as == Publication::kChampion && received.ref.version() == 0) {
    ClearChampion();
    return absl::OkStatus();
  }
  MELLOW_RETURN_IF_ERROR(Adopt(received));
  KeepForOthers(std::move(received));
  return absl::OkStatus();
}

void AdapterExchange::ClearChampion() {
  adapters_->ClearChampion();
  metrics_->SetInfo("mellow_policy_champion_info", kChampionHelp,
                    {{"version", "none"}, {"hash", ""}});
  obs::Log(obs::Severity::kInfo, "the base model is the champion");
}

absl::Status AdapterExchange::Adopt(const wire::ReceivedAdapter& received) {
  const Publication as = received.as;
  const int64_t version = received.ref.version();
  const std::string& hash = received.ref.sha256();
  MELLOW_ASSIGN_OR_RETURN(std::shared_ptr<const ServedAdapter> served,
                          adapters_->CheckPublish(version, hash, as));
  if (served == nullptr) {
    MELLOW_ASSIGN_OR_RETURN(const nn::LoraWeights lora, adapters::ParsePeft(received.files));
    if (const std::string got = adapters::ContentHash(lora); got != hash)
      return absl::DataLossError(absl::StrCat("adapter version ", version, ": its tensors hash to ",
                                              got, ", announced was ", hash));
    auto made = std::make_shared<ServedAdapter>();
    made->version = version;
    made->sha256 = hash;
    MELLOW_ASSIGN_OR_RETURN(made->weights, model_->Prepare(lora));
    served = std::move(made);
  }
  MELLOW_RETURN_IF_ERROR(adapters_->Publish(std::move(served), as));
  if (as == Publication::kChampion) {
    metrics_->SetInfo("mellow_policy_champion_info", kChampionHelp,
                      {{"version", absl::StrCat(version)}, {"hash", hash}});
  } else if (as == Publication::kNewest) {
    // Not what was published: an older version that is here may be published again.
    const std::shared_ptr<const ServedAdapter> newest = adapters_->Newest();
    metrics_->SetInfo("mellow_policy_adapter_info", "The newest adapter of this node.",
                      {{"version", absl::StrCat(newest->version)}, {"hash", newest->sha256}});
    adapter_version_.Set(static_cast<double>(newest->version));
  }
  obs::Log(obs::Severity::kInfo, "adapter published",
           {{"version", version},
            {"sha256", hash},
            {"champion", as == Publication::kChampion},
            {"candidate", as == Publication::kCandidate},
            {"reference", as == Publication::kReference}});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const wire::ReceivedAdapter>> AdapterExchange::Files(
    const common::v1::AdapterRef& wanted) const {
  MutexLock lock(&given_mutex_);
  for (const auto& each : given_) {
    if (each->ref.version() == wanted.version() && each->ref.sha256() == wanted.sha256())
      return each;
  }
  return absl::NotFoundError(absl::StrCat("the files of adapter version ", wanted.version(), " (",
                                          wanted.sha256(), ") are not on this node"));
}

void AdapterExchange::KeepForOthers(wire::ReceivedAdapter received) {
  const auto given = std::make_shared<const wire::ReceivedAdapter>(std::move(received));
  MutexLock lock(&given_mutex_);
  // Adopt has looked at the bytes when the version came first, and then never again.
  for (const auto& each : given_) {
    if (each->ref.version() == given->ref.version()) return;
  }
  given_.push_front(given);
  if (given_.size() > kGivenAdapters) given_.pop_back();
}

}  // namespace mellow::policy
