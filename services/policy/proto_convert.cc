#include "services/policy/proto_convert.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::policy {

namespace {

using Ids = std::vector<int32_t>;

Ids ToIds(const common::v1::TokenSequence& sequence) {
  return {sequence.ids().begin(), sequence.ids().end()};
}

void ToSequence(const Ids& ids, common::v1::TokenSequence* sequence) {
  sequence->mutable_ids()->Add(ids.begin(), ids.end());
}

bool HasRules(const v1::SamplingParams& proto) {
  return proto.has_repetition_penalty() || proto.has_no_repeat_ngram_size() ||
         proto.has_encoder_no_repeat_ngram_size() || proto.has_bad_words_ids() ||
         proto.has_suppress_tokens() || proto.has_forced_bos_token_id() ||
         proto.has_forced_eos_token_id();
}

nn::LogitsRules RulesOf(const v1::SamplingParams& proto, const nn::SamplingParams& defaults) {
  nn::LogitsRules rules = defaults.rules == nullptr ? nn::LogitsRules() : *defaults.rules;
  if (proto.has_repetition_penalty()) rules.repetition_penalty = proto.repetition_penalty();
  if (proto.has_no_repeat_ngram_size()) rules.no_repeat_ngram_size = proto.no_repeat_ngram_size();
  if (proto.has_encoder_no_repeat_ngram_size())
    rules.encoder_no_repeat_ngram_size = proto.encoder_no_repeat_ngram_size();
  if (proto.has_bad_words_ids()) {
    rules.bad_words_ids.clear();
    for (const auto& word : proto.bad_words_ids().sequences())
      rules.bad_words_ids.push_back(ToIds(word));
  }
  if (proto.has_suppress_tokens()) rules.suppress_tokens = ToIds(proto.suppress_tokens());
  if (proto.has_forced_bos_token_id()) rules.forced_bos_token_id = proto.forced_bos_token_id();
  if (proto.has_forced_eos_token_id())
    rules.forced_eos_token_id =
        proto.forced_eos_token_id() == -1 ? Ids() : Ids{proto.forced_eos_token_id()};
  return rules;
}

// How much of the bounded memory of a request its lists take, before anything is copied.
absl::Status CheckListSizes(const v1::SamplingParams& proto) {
  size_t ids = static_cast<size_t>(proto.suppress_tokens().ids_size());
  for (const auto& word : proto.bad_words_ids().sequences())
    ids += std::max<size_t>(1, static_cast<size_t>(word.ids_size()));
  if (ids <= nn::kMaxRuleIds) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("sampling.bad_words_ids and sampling.suppress_tokens hold ", ids,
                   " ids, at most ", nn::kMaxRuleIds, " together"));
}

absl::StatusOr<nn::EarlyStopping> FromProto(v1::EarlyStopping early_stopping,
                                            nn::EarlyStopping unspecified) {
  switch (early_stopping) {
    case v1::EARLY_STOPPING_UNSPECIFIED:
      return unspecified;
    case v1::EARLY_STOPPING_FALSE:
      return nn::EarlyStopping::kFalse;
    case v1::EARLY_STOPPING_TRUE:
      return nn::EarlyStopping::kTrue;
    case v1::EARLY_STOPPING_NEVER:
      return nn::EarlyStopping::kNever;
    default:  // a field of an enum holds whatever number came
      return absl::InvalidArgumentError(
          absl::StrCat("sampling.early_stopping: ", static_cast<int>(early_stopping), ": unknown"));
  }
}

// Names what the request did not say itself, where a refusal would surprise it.
absl::Status Check(const nn::SamplingParams& params, const v1::SamplingParams& proto,
                   const SamplingContext& context) {
  if (params.max_new_tokens > context.max_new_tokens)
    return absl::InvalidArgumentError(absl::StrCat("sampling.max_new_tokens ",
                                                   params.max_new_tokens, ": at most ",
                                                   context.max_new_tokens, " on this node"));
  if (params.do_sample && params.num_beams > 1 && proto.has_do_sample() != proto.has_num_beams()) {
    return absl::InvalidArgumentError(absl::StrCat(
        proto.has_do_sample() ? "sampling.num_beams" : "sampling.do_sample", ": is ",
        proto.has_do_sample() ? absl::StrCat(params.num_beams) : "true",
        " by the model's generation_config.json, and beams do not sample; set it in the request"));
  }
  return Annotate(params.Validate(context.vocab_size), "sampling");
}

}  // namespace

absl::StatusOr<nn::SamplingParams> FromProto(const v1::SamplingParams& proto,
                                             const SamplingContext& context) {
  MELLOW_RETURN_IF_ERROR(CheckListSizes(proto));
  nn::SamplingParams params = context.defaults;
  if (proto.has_do_sample()) params.do_sample = proto.do_sample();
  if (proto.has_temperature()) params.temperature = proto.temperature();
  if (proto.has_top_k()) params.top_k = proto.top_k();
  if (proto.has_top_p()) params.top_p = proto.top_p();
  if (proto.has_num_beams()) params.num_beams = proto.num_beams();
  if (proto.has_length_penalty()) params.length_penalty = proto.length_penalty();
  MELLOW_ASSIGN_OR_RETURN(params.early_stopping,
                          FromProto(proto.early_stopping(), context.defaults.early_stopping));
  if (proto.has_seed()) params.seed = proto.seed();
  if (HasRules(proto)) params.SetRules(RulesOf(proto, context.defaults));
  if (proto.has_min_new_tokens()) params.min_new_tokens = proto.min_new_tokens();
  return WithLength(params,
                    proto.has_max_new_tokens()
                        ? proto.max_new_tokens()
                        : std::max(params.max_new_tokens, proto.min_new_tokens()),
                    proto, context);
}

absl::StatusOr<nn::SamplingParams> WithLength(const nn::SamplingParams& params, int max_new_tokens,
                                              const v1::SamplingParams& proto,
                                              const SamplingContext& context) {
  nn::SamplingParams own = params;
  own.max_new_tokens = max_new_tokens;
  // A model's usual least length gives way to a shorter answer that is asked for.
  if (!proto.has_min_new_tokens())
    own.min_new_tokens = std::min(context.defaults.min_new_tokens, std::max(max_new_tokens, 0));
  MELLOW_RETURN_IF_ERROR(Check(own, proto, context));
  return own;
}

v1::SamplingParams ToProto(const nn::SamplingParams& params) {
  v1::SamplingParams proto;
  proto.set_do_sample(params.do_sample);
  proto.set_temperature(params.temperature);
  proto.set_top_k(params.top_k);
  proto.set_top_p(params.top_p);
  proto.set_num_beams(params.num_beams);
  proto.set_length_penalty(params.length_penalty);
  proto.set_early_stopping(
      params.early_stopping == nn::EarlyStopping::kTrue    ? v1::EARLY_STOPPING_TRUE
      : params.early_stopping == nn::EarlyStopping::kNever ? v1::EARLY_STOPPING_NEVER
                                                           : v1::EARLY_STOPPING_FALSE);
  proto.set_max_new_tokens(params.max_new_tokens);
  proto.set_min_new_tokens(params.min_new_tokens);
  if (params.rules == nullptr) return proto;
  const nn::LogitsRules& rules = *params.rules;
  proto.set_repetition_penalty(rules.repetition_penalty);
  proto.set_no_repeat_ngram_size(rules.no_repeat_ngram_size);
  proto.set_encoder_no_repeat_ngram_size(rules.encoder_no_repeat_ngram_size);
  for (const Ids& word : rules.bad_words_ids)
    ToSequence(word, proto.mutable_bad_words_ids()->add_sequences());
  if (!rules.suppress_tokens.empty())
    ToSequence(rules.suppress_tokens, proto.mutable_suppress_tokens());
  if (rules.forced_bos_token_id >= 0) proto.set_forced_bos_token_id(rules.forced_bos_token_id);
  if (!rules.forced_eos_token_id.empty())
    proto.set_forced_eos_token_id(rules.forced_eos_token_id[0]);
  return proto;
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
