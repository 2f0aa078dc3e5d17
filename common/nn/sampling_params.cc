#include "common/nn/sampling_params.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status.h"

namespace mellow::nn {
namespace {

// Far beyond what is sensible, and low enough that a score times it stays a number.
constexpr double kMaxPenalty = 1e6;
constexpr int kMaxNgram = 1 << 20;

absl::Status Bad(absl::string_view field, absl::AlphaNum value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value.Piece(), ": ", expected));
}

absl::Status CheckIds(absl::string_view field, absl::Span<const int32_t> ids, int vocab_size) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size)
      return Bad(field, id, absl::StrCat("outside the vocabulary of ", vocab_size));
  }
  return absl::OkStatus();
}

absl::Status CheckPenalty(absl::string_view field, double value) {
  if (value > 0 && value <= kMaxPenalty) return absl::OkStatus();
  return Bad(field, value, absl::StrCat("must be in (0, ", kMaxPenalty, "]"));
}

absl::Status CheckNgram(absl::string_view field, int size) {
  if (size >= 0 && size <= kMaxNgram) return absl::OkStatus();
  return Bad(field, size, absl::StrCat("must be in [0 (off), ", kMaxNgram, "]"));
}

absl::Status CheckRules(const LogitsRules& rules, int vocab_size) {
  MELLOW_RETURN_IF_ERROR(CheckPenalty("repetition_penalty", rules.repetition_penalty));
  MELLOW_RETURN_IF_ERROR(
      CheckPenalty("encoder_repetition_penalty", rules.encoder_repetition_penalty));
  MELLOW_RETURN_IF_ERROR(CheckNgram("no_repeat_ngram_size", rules.no_repeat_ngram_size));
  MELLOW_RETURN_IF_ERROR(
      CheckNgram("encoder_no_repeat_ngram_size", rules.encoder_no_repeat_ngram_size));
  size_t ids = rules.suppress_tokens.size() + rules.begin_suppress_tokens.size() +
               rules.forced_eos_token_id.size();
  for (const auto& [sequence, bias] : rules.sequence_bias) {
    ids += sequence.size();
    if (sequence.empty()) return Bad("sequence_bias", "[]", "an empty sequence has no last token");
    if (!std::isfinite(bias)) return Bad("sequence_bias", bias, "must be finite");
    MELLOW_RETURN_IF_ERROR(CheckIds("sequence_bias", sequence, vocab_size));
  }
  for (const std::vector<int32_t>& sequence : rules.bad_words_ids) {
    ids += sequence.size();
    if (sequence.empty()) return Bad("bad_words_ids", "[]", "an empty sequence has no last token");
    MELLOW_RETURN_IF_ERROR(CheckIds("bad_words_ids", sequence, vocab_size));
  }
  if (ids > kMaxRuleIds)
    return Bad("bad_words_ids, suppress_tokens and the like", ids,
               absl::StrCat("at most ", kMaxRuleIds, " ids together"));
  MELLOW_RETURN_IF_ERROR(CheckIds("suppress_tokens", rules.suppress_tokens, vocab_size));
  MELLOW_RETURN_IF_ERROR(
      CheckIds("begin_suppress_tokens", rules.begin_suppress_tokens, vocab_size));
  MELLOW_RETURN_IF_ERROR(CheckIds("forced_eos_token_id", rules.forced_eos_token_id, vocab_size));
  if (rules.forced_bos_token_id != -1)
    MELLOW_RETURN_IF_ERROR(
        CheckIds("forced_bos_token_id", {rules.forced_bos_token_id}, vocab_size));
  if (rules.exponential_decay_start < 0 ||
      !(rules.exponential_decay_factor > 0 && rules.exponential_decay_factor <= kMaxPenalty))
    return Bad("exponential_decay_length_penalty", rules.exponential_decay_factor,
               absl::StrCat("must be [0 or more, in (0, ", kMaxPenalty, "]]"));
  if (!(rules.min_p >= 0 && rules.min_p <= 1))
    return Bad("min_p", rules.min_p, "must be in [0, 1]");
  if (!(rules.typical_p > 0 && rules.typical_p <= 1))
    return Bad("typical_p", rules.typical_p, "must be in (0, 1]");
  for (const auto& [field, value] : {std::pair("epsilon_cutoff", rules.epsilon_cutoff),
                                     std::pair("eta_cutoff", rules.eta_cutoff)}) {
    if (!(value >= 0 && value < 1)) return Bad(field, value, "must be in [0, 1)");
  }
  return absl::OkStatus();
}

}  // namespace

void SamplingParams::SetRules(LogitsRules value) {
  rules = value == LogitsRules() ? nullptr : std::make_shared<const LogitsRules>(std::move(value));
}

absl::Status SamplingParams::Validate(int vocab_size) const {
  if (!(temperature > 0 && temperature <= kMaxTemperature))
    return Bad("temperature", temperature, absl::StrCat("must be in (0, ", kMaxTemperature, "]"));
  if (top_k < 0) return Bad("top_k", top_k, "must be 0 (off) or more");
  if (!(top_p > 0 && top_p <= 1)) return Bad("top_p", top_p, "must be in (0, 1]");
  if (num_beams < 1 || num_beams > 64) return Bad("num_beams", num_beams, "must be in [1, 64]");
  if (do_sample && num_beams > 1 && temperature < kMinBeamTemperature)
    return Bad("temperature", temperature,
               absl::StrCat("must be at least ", kMinBeamTemperature, " with num_beams"));
  if (!(std::abs(length_penalty) <= kMaxLengthPenalty))
    return Bad("length_penalty", length_penalty,
               absl::StrCat("must be in [", -kMaxLengthPenalty, ", ", kMaxLengthPenalty, "]"));
  if (max_new_tokens < 1) return Bad("max_new_tokens", max_new_tokens, "must be at least 1");
  if (min_new_tokens < 0 || min_new_tokens > max_new_tokens)
    return Bad("min_new_tokens", min_new_tokens,
               absl::StrCat("must be in [0, max_new_tokens = ", max_new_tokens, "]"));
  if (rules == nullptr) return absl::OkStatus();
  if (num_beams > 1 && rules->encoder_repetition_penalty != 1)
    return Bad("encoder_repetition_penalty", rules->encoder_repetition_penalty,
               "not with num_beams, where transformers applies it to the first beam only");
  return CheckRules(*rules, vocab_size);
}

}  // namespace mellow::nn
