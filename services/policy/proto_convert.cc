#include "services/policy/proto_convert.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::policy {

absl::StatusOr<nn::SamplingParams> FromProto(const v1::SamplingParams& proto,
                                             const LengthLimits& limits) {
  nn::SamplingParams params;
  params.do_sample = proto.do_sample();
  if (proto.has_temperature()) params.temperature = proto.temperature();
  if (proto.has_top_k()) params.top_k = proto.top_k();
  if (proto.has_top_p()) params.top_p = proto.top_p();
  if (proto.has_num_beams()) params.num_beams = proto.num_beams();
  if (proto.has_length_penalty()) params.length_penalty = proto.length_penalty();
  params.max_new_tokens = proto.has_max_new_tokens()
                              ? proto.max_new_tokens()
                              : std::max(limits.default_max_new_tokens, proto.min_new_tokens());
  if (proto.has_min_new_tokens()) params.min_new_tokens = proto.min_new_tokens();
  if (proto.has_seed()) params.seed = proto.seed();
  if (params.max_new_tokens > limits.max_new_tokens)
    return absl::InvalidArgumentError(absl::StrCat("sampling.max_new_tokens ",
                                                   params.max_new_tokens, ": at most ",
                                                   limits.max_new_tokens, " on this node"));
  MELLOW_RETURN_IF_ERROR(Annotate(params.Validate(), "sampling"));
  return params;
}

absl::StatusOr<Lane> FromProto(v1::Lane lane) {
  // A field of an enum holds whatever number came.
  if (!v1::Lane_IsValid(lane))
    return absl::InvalidArgumentError(absl::StrCat("lane: ", static_cast<int>(lane), ": unknown"));
  return lane == v1::LANE_ROLLOUT ? Lane::kRollout : Lane::kUser;
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
