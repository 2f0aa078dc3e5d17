#ifndef MELLOW_COMMON_NN_SEQUENCE_CLASSIFIER_H_
#define MELLOW_COMMON_NN_SEQUENCE_CLASSIFIER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/roberta_config.h"

namespace mellow::nn {

// An encoder with a classification head (RoBERTa) and frozen weights. A text's logits do not depend
// on its batch mates. Thread-safe: concurrent calls take turns.
class SequenceClassifier {
 public:
  virtual ~SequenceClassifier() = default;
  [[nodiscard]] virtual const RobertaConfig& config() const = 0;
  [[nodiscard]] virtual int64_t parameter_count() const = 0;
  // Token ids with <s> and </s>, at most config().max_tokens() each -> raw logits, one per label.
  // InvalidArgument: an empty or too long sequence, an id outside the vocabulary.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::vector<float>>> Classify(
      absl::Span<const std::vector<int32_t>> sequences) = 0;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_SEQUENCE_CLASSIFIER_H_
