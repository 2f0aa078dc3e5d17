#ifndef MELLOW_COMMON_NN_GENERATION_SAMPLING_PARAMS_H_
#define MELLOW_COMMON_NN_GENERATION_SAMPLING_PARAMS_H_

#include <cstdint>

#include "absl/status/status.h"

namespace mellow::nn {

// Beyond these a logit divided by the temperature, or a length to the power of the penalty, is no
// number any more.
inline constexpr double kMinTemperature = 1e-6;
inline constexpr double kMaxTemperature = 1e6;
inline constexpr double kMaxLengthPenalty = 32;

// How to choose tokens; names and meaning as in transformers' GenerationConfig.
struct SamplingParams {
  bool do_sample = false;  // else greedy, or beam search when num_beams > 1
  double temperature = 1;  // in [kMinTemperature, kMaxTemperature]
  int top_k = 0;           // 0: off
  double top_p = 1;        // (0, 1]
  int num_beams = 1;       // 1 with do_sample
  double length_penalty = 1;  // in [-kMaxLengthPenalty, kMaxLengthPenalty]
  bool early_stopping = false;
  int max_new_tokens = 128;
  int min_new_tokens = 0;  // </s> is forbidden before that many tokens were generated
  uint64_t seed = 0;

  // InvalidArgument naming field and value.
  [[nodiscard]] absl::Status Validate() const;
};

// With the seed, what a random number depends on besides the token's position: not on the node, the
// thread or the batch.
struct RandomStream {
  uint64_t prompt_index = 0;
  uint32_t sample_index = 0;
};

enum class FinishReason { kEos, kLength };

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_SAMPLING_PARAMS_H_
