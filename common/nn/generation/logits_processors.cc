#include "common/nn/generation/logits_processors.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mellow::nn {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

// The tokens that the decoder has read: the start token and what was generated.
class Output {
 public:
  Output(int32_t start, absl::Span<const int32_t> generated)
      : start_(start), generated_(generated) {}
  size_t size() const { return generated_.size() + 1; }
  int32_t operator[](size_t i) const { return i == 0 ? start_ : generated_[i - 1]; }
  // Whether it ends with the first `count` ids of `sequence`.
  template <typename Ids>
  bool EndsWith(const Ids& sequence, size_t count, size_t first = 0) const {
    for (size_t i = 0; i < count; ++i)
      if ((*this)[size() - count + i] != sequence[first + i]) return false;
    return true;
  }

 private:
  const int32_t start_;
  const absl::Span<const int32_t> generated_;
};

// Each id once, however often it is there.
template <typename Ids>
void Penalize(const Ids& ids, double penalty, absl::Span<float> scores) {
  const auto factor = static_cast<float>(penalty);
  std::vector<float> changed(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const float score = scores[ids[i]];
    changed[i] = score < 0 ? score * factor : score / factor;
  }
  for (size_t i = 0; i < ids.size(); ++i) scores[ids[i]] = changed[i];
}

// Forbids what would complete an n-gram that `seen` has.
template <typename Ids>
void ForbidNgrams(const Ids& seen, size_t n, const Output& output, absl::Span<float> scores) {
  if (output.size() + 1 < n) return;
  for (size_t first = 0; first + n <= seen.size(); ++first)
    if (output.EndsWith(seen, n - 1, first)) scores[seen[first + n - 1]] = kForbidden;
}

// Whether the output is what comes before a sequence's last id. A sequence as long as what the
// decoder has read with the next token does not count, although its beginning would fit:
// transformers leaves it out.
bool Continues(const Output& output, const std::vector<int32_t>& sequence) {
  if (sequence.size() == 1) return true;
  return sequence.size() <= output.size() && output.EndsWith(sequence, sequence.size() - 1);
}

}  // namespace

LogitsProcessors::LogitsProcessors(const T5Config& config, const SamplingParams& params,
                                   absl::Span<const int32_t> source_ids)
    : rules_(params.rules),
      max_new_tokens_(params.max_new_tokens),
      min_new_tokens_(config.eos_token_ids.empty() ? 0 : params.min_new_tokens),
      start_token_(config.decoder_start_token_id),
      eos_ids_(config.eos_token_ids) {
  if (rules_ != nullptr &&
      (rules_->encoder_no_repeat_ngram_size > 0 || rules_->encoder_repetition_penalty != 1))
    source_ids_.assign(source_ids.begin(), source_ids.end());
}

void LogitsProcessors::Forbid(absl::Span<const int32_t> ids, absl::Span<float> scores) const {
  for (const int32_t id : ids) scores[id] = kForbidden;
}

bool LogitsProcessors::Apply(absl::Span<const int32_t> generated, absl::Span<float> scores) const {
  if (rules_ != nullptr) {
    ApplyRules(generated, scores);
  } else if (static_cast<int>(generated.size()) < min_new_tokens_) {
    Forbid(eos_ids_, scores);
  }
  return std::any_of(scores.begin(), scores.end(), [](float x) { return x > kForbidden; });
}

void LogitsProcessors::ApplyRules(absl::Span<const int32_t> generated,
                                  absl::Span<float> scores) const {
  const LogitsRules& r = *rules_;
  const Output output(start_token_, generated);
  const int length = static_cast<int>(generated.size());
  for (const auto& [sequence, bias] : r.sequence_bias)
    if (Continues(output, sequence)) scores[sequence.back()] += static_cast<float>(bias);
  if (r.encoder_repetition_penalty != 1)
    Penalize(source_ids_, 1 / r.encoder_repetition_penalty, scores);
  if (r.repetition_penalty != 1) Penalize(output, r.repetition_penalty, scores);
  if (r.no_repeat_ngram_size > 0)
    ForbidNgrams(output, static_cast<size_t>(r.no_repeat_ngram_size), output, scores);
  if (r.encoder_no_repeat_ngram_size > 0)
    ForbidNgrams(source_ids_, static_cast<size_t>(r.encoder_no_repeat_ngram_size), output, scores);
  for (const std::vector<int32_t>& word : r.bad_words_ids) {
    const bool end =
        word.size() == 1 && std::find(eos_ids_.begin(), eos_ids_.end(), word[0]) != eos_ids_.end();
    if (!end && Continues(output, word)) scores[word.back()] = kForbidden;
  }
  if (length < min_new_tokens_) Forbid(eos_ids_, scores);
  const auto force = [&](absl::Span<const int32_t> ids) {
    std::fill(scores.begin(), scores.end(), kForbidden);
    for (const int32_t id : ids) scores[id] = 0;
  };
  if (r.forced_bos_token_id >= 0 && length == 0) force({r.forced_bos_token_id});
  if (!r.forced_eos_token_id.empty() && length == max_new_tokens_ - 1) force(r.forced_eos_token_id);
  if (r.exponential_decay_factor != 1 && length > r.exponential_decay_start) {
    constexpr double kMost = 1e30;  // a score times it stays a number
    const double growth = std::min(
        std::pow(r.exponential_decay_factor, length - r.exponential_decay_start) - 1, kMost);
    for (const int32_t id : eos_ids_)
      if (scores[id] != kForbidden) scores[id] += std::abs(scores[id]) * static_cast<float>(growth);
  }
  Forbid(r.suppress_tokens, scores);
  if (length == (r.forced_bos_token_id >= 0 ? 1 : 0)) Forbid(r.begin_suppress_tokens, scores);
}

}  // namespace mellow::nn
