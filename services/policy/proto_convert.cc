#include "services/policy/proto_convert.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/wire/sampling.h"

namespace mellow::policy {
namespace {

absl::Status Check(const nn::SamplingParams& params, const SamplingContext& context) {
  if (params.max_new_tokens > context.max_new_tokens)
    return absl::InvalidArgumentError(absl::StrCat("sampling.max_new_tokens ",
                                                   params.max_new_tokens, ": at most ",
                                                   context.max_new_tokens, " on this node"));
  return wire::CheckSampling(params, context.vocab_size);
}

}  // namespace

absl::StatusOr<nn::SamplingParams> FromProto(const v1::SamplingParams& proto,
                                             const SamplingContext& context) {
  nn::SamplingParams params = context.defaults;
  MELLOW_RETURN_IF_ERROR(wire::ReadSampling(proto, &params));
  return WithLength(params, params.max_new_tokens, proto, context);
}

absl::StatusOr<nn::SamplingParams> WithLength(const nn::SamplingParams& params, int max_new_tokens,
                                              const v1::SamplingParams& proto,
                                              const SamplingContext& context) {
  nn::SamplingParams own = params;
  own.max_new_tokens = max_new_tokens;
  // A model's usual least length gives way to a shorter answer that is asked for.
  if (!proto.has_min_new_tokens())
    own.min_new_tokens = std::min(context.defaults.min_new_tokens, std::max(max_new_tokens, 0));
  MELLOW_RETURN_IF_ERROR(Check(own, context));
  return own;
}

absl::StatusOr<Lane> FromProto(v1::Lane lane) {
  // A field of an enum holds whatever number came.
  if (!v1::Lane_IsValid(lane))
    return absl::InvalidArgumentError(absl::StrCat("lane: ", static_cast<int>(lane), ": unknown"));
  return lane == v1::LANE_ROLLOUT ? Lane::kRollout : Lane::kUser;
}

absl::StatusOr<std::shared_ptr<const nn::ValueHead>> ValueHeadOf(const v1::GenerateRequest& request,
                                                                 const nn::SamplingParams& params,
                                                                 const nn::T5Config& config) {
  if (request.value_head().empty()) return nullptr;
  if (params.num_beams > 1)
    return absl::InvalidArgumentError(absl::StrCat(
        "value_head: values are of one path, sampling.num_beams is ", params.num_beams));
  absl::StatusOr<nn::ValueHead> head = nn::ParseValueHead(request.value_head(), config.d_model);
  if (!head.ok()) return absl::InvalidArgumentError(head.status().message());
  return std::make_shared<const nn::ValueHead>(*std::move(head));
}

v1::FinishReason ToProto(nn::FinishReason reason) {
  return reason == nn::FinishReason::kEos ? v1::FINISH_REASON_EOS : v1::FINISH_REASON_LENGTH;
}

common::v1::AdapterRef ToProto(const ServedAdapter& adapter) {
  common::v1::AdapterRef ref;
  ref.set_version(adapter.version);
  ref.set_sha256(adapter.sha256);
  return ref;
}

}  // namespace mellow::policy
