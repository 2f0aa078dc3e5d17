#ifndef MELLOW_SERVICES_POLICY_ADAPTER_EXCHANGE_H_
#define MELLOW_SERVICES_POLICY_ADAPTER_EXCHANGE_H_

#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/nn/seq2seq_model.h"
#include "common/obs/metrics.h"
#include "common/sync/mutex.h"
#include "services/policy/adapter_table.h"
#include "services/wire/adapter_stream.h"

namespace mellow::policy {

// Adapters that come to this node, and their files for the nodes that get them from here.
// Thread-safe. What it is given must outlive it.
class AdapterExchange {
 public:
  AdapterExchange(nn::Seq2SeqModel* model, AdapterTable* adapters, obs::Metrics* metrics);

  // Makes what came what it was published as, and keeps its files for others; a champion of version
  // 0 is the base model. Errors of AdapterTable and of the model; DataLoss: its tensors have
  // another hash than announced.
  [[nodiscard]] absl::Status Publish(wire::ReceivedAdapter received);

  // The files as they came. NotFound: they are not kept (anymore).
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const wire::ReceivedAdapter>> Files(
      const common::v1::AdapterRef& wanted) const;

 private:
  absl::Status Adopt(const wire::ReceivedAdapter& received);
  // Has the files for other nodes from now on, in place of the oldest.
  void KeepForOthers(wire::ReceivedAdapter received);
  void ClearChampion();

  nn::Seq2SeqModel* const model_;
  AdapterTable* const adapters_;
  obs::Metrics* const metrics_;
  obs::Gauge adapter_version_;
  mutable Mutex given_mutex_;
  // The adapters that came last, newest first: bytes that nobody but another node needs.
  std::deque<std::shared_ptr<const wire::ReceivedAdapter>> given_ ABSL_GUARDED_BY(given_mutex_);
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_ADAPTER_EXCHANGE_H_
