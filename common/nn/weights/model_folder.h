#ifndef MELLOW_COMMON_NN_WEIGHTS_MODEL_FOLDER_H_
#define MELLOW_COMMON_NN_WEIGHTS_MODEL_FOLDER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// All tensors of a Hugging Face model folder: model.safetensors, model.safetensors.index.json with
// its shards, pytorch_model.bin, or pytorch_model.bin.index.json with its shards; the first that is
// there. NotFound: no such folder, or none of these files in it (the message lists them).
// FailedPrecondition: the index names a tensor that its shard lacks.
[[nodiscard]] absl::StatusOr<TensorMap> LoadModelTensors(const std::string& folder);

// The names of the files that LoadModelTensors reads tensors from, in its order. Looks no further
// into them. Errors as there.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> WeightFiles(const std::string& folder);

// config.json's "model_type" ("t5", "roberta"), to tell a user who gave the wrong folder.
// NotFound: no config.json.  InvalidArgument: not JSON, or no model_type.
[[nodiscard]] absl::StatusOr<std::string> ModelType(const std::string& folder);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_MODEL_FOLDER_H_
