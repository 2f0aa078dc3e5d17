#include "common/nn/generation/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "common/base/status.h"
#include "common/nn/generation/logits_processors.h"
#include "common/nn/generation/token_sampler.h"
#include "common/nn/generation/warpers.h"
#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn {
namespace {

struct Beam {
  std::unique_ptr<DecodeRow> row;
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  float score =
      0;  // sum of log-probs; fp32 as in transformers, so that ties and near-ties fall the same way
};

struct Candidate {
  double rank;  // the highest of a step are kept
  float score;
  int beam;
  int32_t token;
  float logprob;
};

struct Hypothesis {
  double score;
  GeneratedSequence sequence;
};

// The first beam starts with 0, the others so low that only the first one's continuations are taken
// at the first step.
constexpr float kUnused = -1e9f;

// The k highest of score + noise are k draws without replacement by exp(score): the Gumbel-max
// trick, as Kool, van Hoof and Welling have it for beams, "Stochastic Beams and Where to Find Them"
// (ICML 2019).
double Gumbel(double uniform) { return -std::log(-std::log(uniform)); }

class BeamSearch : public SequenceDecoder {
 public:
  BeamSearch(const T5Config& config, const SamplingParams& params, const RandomStream& stream,
             absl::Span<const int32_t> source_ids, std::unique_ptr<DecodeRow> row)
      : config_(config),
        vocab_(config.vocab_size),
        ends_(std::max(1, static_cast<int>(config.eos_token_ids.size()))),
        params_(params),
        stream_(stream),
        processors_(config, params, source_ids) {
    beams_.resize(1);
    beams_[0].row = std::move(row);
    Refresh(config.decoder_start_token_id);
  }

  absl::Span<DecodeRow* const> rows() const override { return rows_; }
  absl::Span<const int32_t> tokens() const override { return tokens_; }
  bool done() const override { return done_; }
  const GeneratedSequence& sequence() const override { return result_; }

  absl::Status Advance(Seq2SeqModel& model, absl::Span<const float> logits) override {
    const std::vector<Candidate> best = BestCandidates(logits);
    generated_ = beams_[0].ids.size();
    const int length = static_cast<int>(generated_) + 1;
    std::vector<Candidate> next;
    for (size_t rank = 0; rank < best.size() && static_cast<int>(next.size()) < params_.num_beams;
         ++rank) {
      const Candidate& c = best[rank];
      if (!config_.IsEnd(c.token)) {
        next.push_back(c);
      } else if (static_cast<int>(rank) < params_.num_beams) {
        GeneratedSequence finished{beams_[c.beam].ids, beams_[c.beam].logprobs, FinishReason::kEos};
        const int32_t end = config_.eos_token_ids[0];
        const float* row = logits.data() + static_cast<size_t>(c.beam) * vocab_;
        finished.ids.push_back(end);
        finished.logprobs.push_back(c.logprob + (row[end] - row[c.token]));
        AddHypothesis(std::move(finished), c.score, length);
      }
    }
    const bool nothing_better = IsDone(best.empty() ? kUnused : best[0].score, length);
    MELLOW_RETURN_IF_ERROR(Continue(model, next));
    if (nothing_better || length >= params_.max_new_tokens || beams_.empty())
      Finish(nothing_better);
    return absl::OkStatus();
  }

 private:
  // The scores of a beam's continuations, or null: they are its log-probs, row[token] - lse. Empty:
  // there are none.
  std::optional<absl::Span<const float>> Processed(const Beam& beam, const float* row, float lse) {
    const bool active = processors_.Active(beam.ids.size());
    if (!active && !params_.do_sample) return std::nullopt;
    processed_.resize(static_cast<size_t>(vocab_));
    for (int32_t token = 0; token < vocab_; ++token) processed_[token] = row[token] - lse;
    const absl::Span<float> scores = absl::MakeSpan(processed_);
    if (active && !processors_.Apply(beam.ids, scores)) return absl::Span<const float>();
    if (params_.do_sample) Warp(params_, ends_ + 1, scores);
    if (params_.rules != nullptr && params_.rules->renormalize_logits) {
      const auto sum = static_cast<float>(kernels::Kernels().log_sum_exp(scores.data(), vocab_));
      for (float& score : scores) score -= sum;
    }
    return scores;
  }

  // The best continuations over all beams, or the drawn ones, best first: as many that num_beams of
  // them are none of the end tokens.
  std::vector<Candidate> BestCandidates(absl::Span<const float> logits) {
    const size_t keep = static_cast<size_t>(ends_ + 1) * static_cast<size_t>(params_.num_beams);
    const auto better = [](const Candidate& a, const Candidate& b) {
      if (a.rank != b.rank) return a.rank > b.rank;
      return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
    };
    // Each candidate of a step has a number of its own: this key, at (beam, token).
    const PhiloxCounter root =
        Philox4x32(CounterOf(stream_, static_cast<int>(beams_[0].ids.size())), KeyOf(params_.seed));
    const PhiloxKey key = {root[2], root[3]};
    std::vector<Candidate> heap;  // the worst of the kept ones on top
    for (size_t b = 0; b < beams_.size(); ++b) {
      const float* row = logits.data() + b * vocab_;
      const auto lse = static_cast<float>(kernels::Kernels().log_sum_exp(row, vocab_));
      const std::optional<absl::Span<const float>> processed = Processed(beams_[b], row, lse);
      if (processed && processed->empty()) continue;
      for (int32_t token = 0; token < vocab_; ++token) {
        const float logprob = row[token] - lse;
        const float score = processed ? (*processed)[token] : logprob;
        if (score == -std::numeric_limits<float>::infinity()) continue;
        Candidate candidate{0, beams_[b].score + score, static_cast<int>(b), token, logprob};
        candidate.rank = candidate.score;
        if (params_.do_sample)
          candidate.rank += Gumbel(
              PhiloxUniform({static_cast<uint32_t>(b), static_cast<uint32_t>(token), 0, 0}, key));
        if (heap.size() == keep) {
          if (!better(candidate, heap.front())) continue;
          std::pop_heap(heap.begin(), heap.end(), better);
          heap.pop_back();
        }
        heap.push_back(candidate);
        std::push_heap(heap.begin(), heap.end(), better);
      }
    }
    for (Candidate& candidate : heap) candidate.rank = candidate.score;
    std::sort(heap.begin(), heap.end(), better);
    return heap;
  }

  void AddHypothesis(GeneratedSequence sequence, double sum, int length) {
    const double score = sum / std::pow(length, params_.length_penalty);
    if (static_cast<int>(finished_.size()) >= params_.num_beams && score <= worst_) return;
    finished_.push_back({score, std::move(sequence)});
    if (static_cast<int>(finished_.size()) > params_.num_beams) {
      finished_.erase(std::min_element(
          finished_.begin(), finished_.end(),
          [](const Hypothesis& a, const Hypothesis& b) { return a.score < b.score; }));
    }
    worst_ = std::numeric_limits<double>::infinity();
    for (const Hypothesis& h : finished_) worst_ = std::min(worst_, h.score);
  }

  bool IsDone(double best_sum, int length) const {
    if (static_cast<int>(finished_.size()) < params_.num_beams) return false;
    if (params_.early_stopping == EarlyStopping::kTrue) return true;
    // The most that a running beam can reach: sums are negative, so with a positive penalty it is
    // at the longest length.
    const bool longest =
        params_.early_stopping == EarlyStopping::kNever && params_.length_penalty > 0;
    return worst_ >=
           best_sum / std::pow(longest ? params_.max_new_tokens : length, params_.length_penalty);
  }

  // Moves or forks the rows to where the chosen candidates continue.
  absl::Status Continue(Seq2SeqModel& model, const std::vector<Candidate>& chosen) {
    std::vector<int> uses(beams_.size(), 0);
    for (const Candidate& c : chosen) ++uses[c.beam];
    std::vector<Beam> next;
    for (const Candidate& c : chosen) {
      Beam& from = beams_[c.beam];
      Beam beam{nullptr, from.ids, from.logprobs, c.score};
      if (--uses[c.beam] == 0) {
        beam.row = std::move(from.row);
      } else {
        MELLOW_ASSIGN_OR_RETURN(beam.row, model.Fork(*from.row));
      }
      beam.ids.push_back(c.token);
      beam.logprobs.push_back(c.logprob);
      next.push_back(std::move(beam));
    }
    beams_ = std::move(next);
    Refresh(/*start_token=*/0);
    return absl::OkStatus();
  }

  void Refresh(int32_t start_token) {
    rows_.clear();
    tokens_.clear();
    for (const Beam& beam : beams_) {
      rows_.push_back(beam.row.get());
      tokens_.push_back(beam.ids.empty() ? start_token : beam.ids.back());
    }
  }

  void Finish(bool nothing_better) {
    if (!nothing_better) {
      for (Beam& beam : beams_) {
        const int length = static_cast<int>(beam.ids.size());
        AddHypothesis({std::move(beam.ids), std::move(beam.logprobs), FinishReason::kLength},
                      beam.score, length);
      }
    }
    // Among equals the later one, as transformers' stable sort and pop from the end.
    const Hypothesis* best = nullptr;
    for (const Hypothesis& h : finished_)
      if (best == nullptr || h.score >= best->score) best = &h;
    if (best != nullptr) {
      result_ = best->sequence;
    } else {
      Fail(NothingAllowed(generated_));
    }
    beams_.clear();
    Refresh(0);
    done_ = true;
  }

  const T5Config& config_;
  const int vocab_;
  const int ends_;  // end tokens, at least 1
  const SamplingParams params_;
  const RandomStream stream_;
  const LogitsProcessors processors_;
  size_t generated_ = 0;  // tokens of each beam before the last step
  std::vector<Beam> beams_;
  std::vector<DecodeRow*> rows_;
  std::vector<int32_t> tokens_;
  std::vector<Hypothesis> finished_;
  double worst_ = std::numeric_limits<double>::infinity();
  bool done_ = false;
  GeneratedSequence result_;
  std::vector<float> processed_;
};

}  // namespace

std::unique_ptr<SequenceDecoder> MakeBeamSearch(const T5Config& config,
                                                const SamplingParams& params,
                                                const RandomStream& stream,
                                                absl::Span<const int32_t> source_ids,
                                                std::unique_ptr<DecodeRow> row) {
  return std::make_unique<BeamSearch>(config, params, stream, source_ids, std::move(row));
}

}  // namespace mellow::nn
