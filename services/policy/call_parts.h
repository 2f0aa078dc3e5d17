#ifndef MELLOW_SERVICES_POLICY_CALL_PARTS_H_
#define MELLOW_SERVICES_POLICY_CALL_PARTS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/nn/seq2seq_model.h"
#include "common/sync/workers.h"
#include "common/text/tokenizer.h"
#include "services/policy/adapter_table.h"
#include "services/policy/policy_engine.h"
#include "services/policy/policy_options.h"
#include "services/policy/proto_convert.h"

namespace mellow::policy {

// What the calls that wait for the engine work with. Everything outlives them. Thread-safe.
struct CallParts {
  const PolicyOptions options;
  nn::Seq2SeqModel* const model;
  const text::Tokenizer* const tokenizer;
  AdapterTable* const adapters;
  PolicyEngine* const engine;
  Workers* const workers;  // texts to tokens and back, outside gRPC's threads and the engine's
  const SamplingContext sampling;

  // InvalidArgument: an id is outside the vocabulary.
  [[nodiscard]] absl::Status CheckIds(absl::Span<const int32_t> ids, absl::string_view field) const;
  // The version that the request names, else `unnamed`.
  template <typename Request>
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const ServedAdapter>> Pin(
      const Request& request, std::shared_ptr<const ServedAdapter> unnamed) const {
    if (!request.has_adapter_version()) return unnamed;
    return adapters->Get(request.adapter_version());
  }
};

// `call`: a rpc::UnaryCall or PulledStream.
template <typename Call>
CallContext CallOf(const Call& call) {
  return {call.deadline(), call.gone()};
}

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_CALL_PARTS_H_
