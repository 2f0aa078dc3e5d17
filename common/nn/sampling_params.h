#ifndef MELLOW_COMMON_NN_SAMPLING_PARAMS_H_
#define MELLOW_COMMON_NN_SAMPLING_PARAMS_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace mellow::nn {

// Beyond these a logit divided by the temperature, or a length to the power of the penalty, is no
// number anymore.
inline constexpr double kMaxTemperature = 1e6;
// With beams, which compare scores of different beams: below it they would be no numbers in fp32.
inline constexpr double kMinBeamTemperature = 1e-6;
inline constexpr double kMaxLengthPenalty = 32;
// The most ids in all lists of one request together: bounds its memory and what a step looks at.
inline constexpr size_t kMaxRuleIds = 65536;

// When a beam search is over, beside its longest length: kFalse, when the best running beam, at its
// length of now, scores no better than the worst of num_beams finished ones; kTrue, as soon as
// there are num_beams finished ones; kNever, when no running beam can become better at any length.
enum class EarlyStopping { kFalse, kTrue, kNever };

// What changes the scores of all tokens before one is chosen; names and meaning as in transformers'
// GenerationConfig.
struct LogitsRules {
  // The output's ids, the start token among them: positive scores are divided by it, others
  // multiplied. 1: off.
  double repetition_penalty = 1;
  // The source's ids: the other way round. 1: off.
  double encoder_repetition_penalty = 1;
  int no_repeat_ngram_size = 0;          // 0: off
  int encoder_no_repeat_ngram_size = 0;  // no n-gram of the source in the output; 0: off
  std::vector<std::pair<std::vector<int32_t>, double>> sequence_bias;  // for a sequence's last id
  std::vector<std::vector<int32_t>> bad_words_ids;  // a lone end token among them has no effect
  std::vector<int32_t> suppress_tokens;
  std::vector<int32_t> begin_suppress_tokens;  // not the first token, or behind the forced one
  int32_t forced_bos_token_id = -1;            // the first token; -1: none
  std::vector<int32_t> forced_eos_token_id;    // one of them is the last at the longest length
  int exponential_decay_start = 0;             // tokens after which the end grows likelier
  double exponential_decay_factor = 1;         // 1: off
  // Sampling goes on, after temperature, top-k and top-p, without the tokens that are
  double min_p = 0;           // less likely than min_p times the likeliest; 0: off
  double typical_p = 1;       // less typical than a set of this mass; 1: off
  double epsilon_cutoff = 0;  // less likely than this; 0: off
  double eta_cutoff = 0;      // less likely than min(eta, sqrt(eta) exp(-entropy)); 0: off
  bool renormalize_logits = false;

  bool operator==(const LogitsRules&) const = default;
};

// How to choose tokens; names and meaning as in transformers' GenerationConfig.
struct SamplingParams {
  bool do_sample = false;     // else the likeliest token, or the likeliest beams, are taken
  double temperature = 1;     // in (0, kMaxTemperature]
  int top_k = 0;              // 0: off
  double top_p = 1;           // (0, 1]
  int num_beams = 1;          // above 1: beam search
  double length_penalty = 1;  // in [-kMaxLengthPenalty, kMaxLengthPenalty]
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  int max_new_tokens = 128;
  int min_new_tokens = 0;  // nothing ends before that many tokens were generated
  uint64_t seed = 0;
  std::shared_ptr<const LogitsRules> rules = nullptr;  // null: none

  // Stores them, or null when all are off.
  void SetRules(LogitsRules value);
  // InvalidArgument naming field and value. `vocab_size`: of the model, for ids.
  [[nodiscard]] absl::Status Validate(int vocab_size = std::numeric_limits<int32_t>::max()) const;
};

// With the seed, what a random number depends on besides the token's position: not on the node, the
// thread or the batch.
struct RandomStream {
  uint64_t prompt_index = 0;
  uint32_t sample_index = 0;
};

enum class FinishReason { kEos, kLength };

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_SAMPLING_PARAMS_H_
