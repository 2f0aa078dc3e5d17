#include "common/nn/generation/sequence_decoder.h"

#include <utility>

#include "common/nn/generation/beam_search.h"
#include "common/nn/generation/token_sampler.h"

namespace mellow::nn {
namespace {

// Greedy search and sampling: one row, one token at a time.
class SingleDecoder : public SequenceDecoder {
 public:
  SingleDecoder(const T5Config& config, const SamplingParams& params, const RandomStream& stream,
                std::unique_ptr<DecodeRow> row)
      : eos_id_(config.eos_token_id),
        params_(params),
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
    const SampledToken sampled =
        SampleToken(logits, params_, eos_id_, static_cast<int>(sequence_.ids.size()), stream_);
    token_ = sampled.id;
    sequence_.ids.push_back(sampled.id);
    sequence_.logprobs.push_back(sampled.logprob);
    if (sampled.id == eos_id_) sequence_.finish = FinishReason::kEos;
    done_ =
        sampled.id == eos_id_ || static_cast<int>(sequence_.ids.size()) >= params_.max_new_tokens;
    if (done_) owned_.reset();  // its cache is the large part
    return absl::OkStatus();
  }

 private:
  const int32_t eos_id_;
  const SamplingParams params_;
  const RandomStream stream_;
  std::unique_ptr<DecodeRow> owned_;
  DecodeRow* row_;
  int32_t token_;
  bool done_ = false;
  GeneratedSequence sequence_;
};

}  // namespace

std::unique_ptr<SequenceDecoder> MakeSequenceDecoder(const T5Config& config,
                                                     const SamplingParams& params,
                                                     const RandomStream& stream,
                                                     std::unique_ptr<DecodeRow> row) {
  if (params.num_beams > 1) return MakeBeamSearch(config, params, std::move(row));
  return std::make_unique<SingleDecoder>(config, params, stream, std::move(row));
}

}  // namespace mellow::nn
