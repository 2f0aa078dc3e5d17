#ifndef MELLOW_COMMON_NN_GENERATION_LOGITS_PROCESSORS_H_
#define MELLOW_COMMON_NN_GENERATION_LOGITS_PROCESSORS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/sampling_params.h"
#include "common/nn/t5_config.h"

namespace mellow::nn {

// What the rules and the lengths of one request do to the scores of the next token, as the logits
// processors of transformers 4.45 and in their order, which ends before temperature and the other
// warpers. renormalize_logits, which is last of all and changes beam search alone, is left to it.
// Scores are raw logits in greedy search and sampling, log-probs in beam search. Immutable.
class LogitsProcessors {
 public:
  // `params`: valid for this model. `source_ids`: as the caller gave them, with padding; copied
  // where a rule looks at them.
  LogitsProcessors(const T5Config& config, const SamplingParams& params,
                   absl::Span<const int32_t> source_ids);

  // Whether Apply would change anything after `generated` tokens.
  [[nodiscard]] bool Active(size_t generated) const {
    return rules_ != nullptr || static_cast<int>(generated) < min_new_tokens_;
  }
  // `generated`: the output so far, without the start token. scores: [vocab_size]; what is
  // forbidden gets -inf. False: that is all of them.
  [[nodiscard]] bool Apply(absl::Span<const int32_t> generated, absl::Span<float> scores) const;

 private:
  void ApplyRules(absl::Span<const int32_t> generated, absl::Span<float> scores) const;
  void Forbid(absl::Span<const int32_t> ids, absl::Span<float> scores) const;

  const std::shared_ptr<const LogitsRules> rules_;
  const int max_new_tokens_;
  const int min_new_tokens_;
  const int32_t start_token_;
  const std::vector<int32_t> eos_ids_;
  std::vector<int32_t> source_ids_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_LOGITS_PROCESSORS_H_
