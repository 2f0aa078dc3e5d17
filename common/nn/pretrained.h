#ifndef MELLOW_COMMON_NN_PRETRAINED_H_
#define MELLOW_COMMON_NN_PRETRAINED_H_

// What every backend loads of a model folder, by one rule: the configuration and the tensors, each
// under one name, all of float types, all finite.

#include <string>

#include "absl/status/statusor.h"
#include "common/nn/roberta_config.h"
#include "common/nn/t5_config.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// T5, mT5 or UMT5. `tensors` has the embedding as "shared.weight" and, unless
// config.tie_word_embeddings, the head as "lm_head.weight".
struct PretrainedT5 {
  T5Config config;
  TensorMap tensors;
};

// RobertaForSequenceClassification.
struct PretrainedRoberta {
  RobertaConfig config;
  TensorMap tensors;
};

// Read FOLDER's config.json and all of its weights, and leave out what transformers leaves out of
// these models: copies of the embedding under the other names it is tied to, constant buffers, and
// parts that the model does not use. What else is there too much, or missing, the model that takes
// the tensors says (TensorReader::Finish).
// Errors as LoadModelTensors and the configurations' readers; also, with the folder named:
// DataLoss: a value that is not finite (the tensor is named). FailedPrecondition: copies of the
// embedding that differ from it, where versions of transformers do not agree which one counts; a
// tensor of integers.
[[nodiscard]] absl::StatusOr<PretrainedT5> ReadPretrainedT5(const std::string& folder);
[[nodiscard]] absl::StatusOr<PretrainedRoberta> ReadPretrainedRoberta(const std::string& folder);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_PRETRAINED_H_
