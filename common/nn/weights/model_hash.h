#ifndef MELLOW_COMMON_NN_WEIGHTS_MODEL_HASH_H_
#define MELLOW_COMMON_NN_WEIGHTS_MODEL_HASH_H_

#include <future>
#include <string>

#include "absl/status/statusor.h"

namespace mellow::nn {

// The sha256 (64 hex digits) over what decides a model's numbers: config.json, the weight files
// that LoadModelTensors reads, and the files of the tokenizer; each with its name. Where the folder
// lies does not matter. Reads all of it: a second or two per gigabyte. NotFound: as
// LoadModelTensors.
[[nodiscard]] absl::StatusOr<std::string> HashModelFolder(const std::string& folder);

// The same, computed once, in a thread of its own that begins at once: make it before the model is
// loaded, so that it describes the files as they were then and costs no start-up time. The
// destructor waits for the thread. Thread-safe.
class ModelHash {
 public:
  explicit ModelHash(const std::string& folder);
  // Waits for the result.
  [[nodiscard]] absl::StatusOr<std::string> Get() const { return result_.get(); }

 private:
  const std::shared_future<absl::StatusOr<std::string>> result_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_MODEL_HASH_H_
