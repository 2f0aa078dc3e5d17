#include "services/wire/sampling.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::wire {
namespace {

using Ids = std::vector<int32_t>;

Ids ToIds(const common::v1::TokenSequence& sequence) {
  return {sequence.ids().begin(), sequence.ids().end()};
}

void ToSequence(const Ids& ids, common::v1::TokenSequence* sequence) {
  sequence->mutable_ids()->Add(ids.begin(), ids.end());
}

bool HasRules(const policy::v1::SamplingParams& proto) {
  return proto.has_repetition_penalty() || proto.has_no_repeat_ngram_size() ||
         proto.has_encoder_no_repeat_ngram_size() || proto.has_bad_words_ids() ||
         proto.has_suppress_tokens() || proto.has_forced_bos_token_id() ||
         proto.has_forced_eos_token_id() || proto.has_min_p() || proto.has_typical_p() ||
         proto.has_epsilon_cutoff() || proto.has_eta_cutoff();
}

// `rules` with what the message sets.
nn::LogitsRules RulesOf(const policy::v1::SamplingParams& proto, nn::LogitsRules rules) {
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
  if (proto.has_min_p()) rules.min_p = proto.min_p();
  if (proto.has_typical_p()) rules.typical_p = proto.typical_p();
  if (proto.has_epsilon_cutoff()) rules.epsilon_cutoff = proto.epsilon_cutoff();
  if (proto.has_eta_cutoff()) rules.eta_cutoff = proto.eta_cutoff();
  return rules;
}

// How much of the bounded memory of a request its lists take, before anything is copied.
absl::Status CheckListSizes(const policy::v1::SamplingParams& proto) {
  size_t ids = static_cast<size_t>(proto.suppress_tokens().ids_size());
  for (const auto& word : proto.bad_words_ids().sequences())
    ids += std::max<size_t>(1, static_cast<size_t>(word.ids_size()));
  if (ids <= nn::kMaxRuleIds) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("sampling.bad_words_ids and sampling.suppress_tokens hold ", ids,
                   " ids, at most ", nn::kMaxRuleIds, " together"));
}

absl::StatusOr<nn::EarlyStopping> FromProto(policy::v1::EarlyStopping early_stopping,
                                            nn::EarlyStopping unspecified) {
  switch (early_stopping) {
    case policy::v1::EARLY_STOPPING_UNSPECIFIED:
      return unspecified;
    case policy::v1::EARLY_STOPPING_FALSE:
      return nn::EarlyStopping::kFalse;
    case policy::v1::EARLY_STOPPING_TRUE:
      return nn::EarlyStopping::kTrue;
    case policy::v1::EARLY_STOPPING_NEVER:
      return nn::EarlyStopping::kNever;
    default:  // a field of an enum holds whatever number came
      return absl::InvalidArgumentError(
          absl::StrCat("sampling.early_stopping: ", static_cast<int>(early_stopping), ": unknown"));
  }
}

}  // namespace

absl::Status ReadSampling(const policy::v1::SamplingParams& proto, nn::SamplingParams* params) {
  MELLOW_RETURN_IF_ERROR(CheckListSizes(proto));
  if (proto.has_do_sample()) params->do_sample = proto.do_sample();
  if (proto.has_temperature()) params->temperature = proto.temperature();
  if (proto.has_top_k()) params->top_k = proto.top_k();
  if (proto.has_top_p()) params->top_p = proto.top_p();
  if (proto.has_num_beams()) params->num_beams = proto.num_beams();
  if (proto.has_length_penalty()) params->length_penalty = proto.length_penalty();
  MELLOW_ASSIGN_OR_RETURN(params->early_stopping,
                          FromProto(proto.early_stopping(), params->early_stopping));
  if (proto.has_seed()) params->seed = proto.seed();
  if (HasRules(proto))
    params->SetRules(RulesOf(proto, params->rules ? *params->rules : nn::LogitsRules()));
  if (proto.has_min_new_tokens()) params->min_new_tokens = proto.min_new_tokens();
  params->max_new_tokens = proto.has_max_new_tokens()
                               ? proto.max_new_tokens()
                               : std::max(params->max_new_tokens, proto.min_new_tokens());
  return absl::OkStatus();
}

absl::Status CheckSampling(const nn::SamplingParams& params, int vocab_size) {
  const absl::Status status = params.Validate(vocab_size);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("sampling.", status.message()));
}

policy::v1::SamplingParams ToProto(const nn::SamplingParams& params) {
  policy::v1::SamplingParams proto;
  proto.set_do_sample(params.do_sample);
  proto.set_temperature(params.temperature);
  proto.set_top_k(params.top_k);
  proto.set_top_p(params.top_p);
  proto.set_num_beams(params.num_beams);
  proto.set_length_penalty(params.length_penalty);
  proto.set_early_stopping(
      params.early_stopping == nn::EarlyStopping::kTrue    ? policy::v1::EARLY_STOPPING_TRUE
      : params.early_stopping == nn::EarlyStopping::kNever ? policy::v1::EARLY_STOPPING_NEVER
                                                           : policy::v1::EARLY_STOPPING_FALSE);
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
  if (rules.min_p > 0) proto.set_min_p(rules.min_p);
  if (rules.typical_p < 1) proto.set_typical_p(rules.typical_p);
  if (rules.epsilon_cutoff > 0) proto.set_epsilon_cutoff(rules.epsilon_cutoff);
  if (rules.eta_cutoff > 0) proto.set_eta_cutoff(rules.eta_cutoff);
  return proto;
}

}  // namespace mellow::wire
