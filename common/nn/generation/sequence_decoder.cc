#include "common/nn/generation/sequence_decoder.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/nn/generation/beam_search.h"
#include "common/nn/generation/logits_processors.h"
#include "common/nn/generation/token_sampler.h"

namespace mellow::nn {
namespace {

// Greedy search and sampling: one row, one token at a time.
class SingleDecoder : public SequenceDecoder {
 public:
  SingleDecoder(const T5Config& config, const SamplingParams& params, const RandomStream& stream,
                absl::Span<const int32_t> source_ids, std::unique_ptr<DecodeRow> row)
      : config_(config),
        params_(params),
        processors_(config, params, source_ids),
        stream_(stream),
        owned_(std::move(row)),
        row_(owned_.get()),
        token_(config.decoder_start_token_id) {}

  absl::Span<DecodeRow* const> rows() const override {
    return done_ ? absl::Span<DecodeRow* const>() : absl::MakeConstSpan(&row_, 1);
  }
  absl::Span<const int32_t> tokens() const override {
    return done_ ? absl::Span<const int32_t>() : absl::MakeConstSpan(&token_, 1);
  }
  bool done() const override { return done_; }
  const GeneratedSequence& sequence() const override { return sequence_; }

  absl::Status Advance(Seq2SeqModel&, absl::Span<const float> logits) override {
    const size_t position = sequence_.ids.size();
    const std::optional<float> value = row_->value();
    absl::Span<const float> scores = logits;
    if (processors_.Active(position)) {
      processed_.assign(logits.begin(), logits.end());
      if (!processors_.Apply(sequence_.ids, absl::MakeSpan(processed_))) {
        Fail(NothingAllowed(position));
        Finish();
        return absl::OkStatus();
      }
      scores = processed_;
    }
    const SampledToken sampled =
        SampleToken(logits, scores, params_, static_cast<int>(position), stream_);
    token_ = sampled.id;
    sequence_.ids.push_back(sampled.id);
    sequence_.logprobs.push_back(sampled.logprob);
    if (value) sequence_.values.push_back(*value);
    const bool ended = config_.IsEnd(sampled.id);
    if (ended) sequence_.finish = FinishReason::kEos;
    if (ended || static_cast<int>(sequence_.ids.size()) >= params_.max_new_tokens) Finish();
    return absl::OkStatus();
  }

 private:
  void Finish() {
    done_ = true;
    owned_.reset();  // its cache is the large part
  }

  const T5Config& config_;
  const SamplingParams params_;
  const LogitsProcessors processors_;
  const RandomStream stream_;
  std::unique_ptr<DecodeRow> owned_;
  DecodeRow* row_;
  int32_t token_;
  bool done_ = false;
  GeneratedSequence sequence_;
  std::vector<float> processed_;
};

}  // namespace

absl::Status NothingAllowed(size_t position) {
  return absl::FailedPreconditionError(
      absl::StrCat("the settings of generation (bad_words_ids, suppress_tokens, "
                   "no_repeat_ngram_size and the like) forbid every token after ",
                   position, " generated ones"));
}

std::unique_ptr<SequenceDecoder> MakeSequenceDecoder(const T5Config& config,
                                                     const SamplingParams& params,
                                                     const RandomStream& stream,
                                                     absl::Span<const int32_t> source_ids,
                                                     std::unique_ptr<DecodeRow> row) {
  if (params.num_beams > 1)
    return MakeBeamSearch(config, params, stream, source_ids, std::move(row));
  return std::make_unique<SingleDecoder>(config, params, stream, source_ids, std::move(row));
}

}  // namespace mellow::nn
