#ifndef MELLOW_SERVICES_POLICY_PROTO_CONVERT_H_
#define MELLOW_SERVICES_POLICY_PROTO_CONVERT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/nn/generation/sequence_decoder.h"
#include "common/nn/value_head.h"
#include "mellow/policy/v1/policy.pb.h"
#include "services/policy/adapter_table.h"
#include "services/policy/policy_engine.h"
#include "services/wire/sampling.h"

namespace mellow::policy {

// What a request's sampling settings are read against.
struct SamplingContext {
  nn::SamplingParams defaults;  // of this server, valid
  int max_new_tokens;           // most that a request may ask for
  int vocab_size;
};

// InvalidArgument naming the field.
[[nodiscard]] absl::StatusOr<nn::SamplingParams> FromProto(const v1::SamplingParams& proto,
                                                           const SamplingContext& context);
// The same for one prompt that has its own length; `params` is what `proto` made.
[[nodiscard]] absl::StatusOr<nn::SamplingParams> WithLength(const nn::SamplingParams& params,
                                                            int max_new_tokens,
                                                            const v1::SamplingParams& proto,
                                                            const SamplingContext& context);
using wire::ToProto;  // of nn::SamplingParams
// InvalidArgument: a value that this version does not know. Unspecified is the user's lane.
[[nodiscard]] absl::StatusOr<Lane> FromProto(v1::Lane lane);

// The request's value head; null: it has none. InvalidArgument: not one of this model, or not one
// path a prompt.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const nn::ValueHead>> ValueHeadOf(
    const v1::GenerateRequest& request, const nn::SamplingParams& params,
    const nn::T5Config& config);

[[nodiscard]] v1::FinishReason ToProto(nn::FinishReason reason);
[[nodiscard]] common::v1::AdapterRef ToProto(const ServedAdapter& adapter);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_PROTO_CONVERT_H_
