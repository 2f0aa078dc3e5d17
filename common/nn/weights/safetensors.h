#ifndef MELLOW_COMMON_NN_WEIGHTS_SAFETENSORS_H_
#define MELLOW_COMMON_NN_WEIGHTS_SAFETENSORS_H_

// The safetensors format: u64 little-endian header length, JSON header, tensor bytes.
// Errors name the file. DataLoss: truncated or corrupt (header too long, not JSON, offsets outside
// the file, overlapping or not covering it, size that does not match shape x dtype). Unimplemented:
// a dtype we do not read.

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// Maps the file; tensors point into the mapping.
[[nodiscard]] absl::StatusOr<TensorMap> ReadSafetensors(const std::string& path);
// Parses bytes already in memory (an adapter that came over the network); `name` stands for the
// file in errors.
[[nodiscard]] absl::StatusOr<TensorMap> ParseSafetensors(std::shared_ptr<const std::string> data,
                                                         absl::string_view name);
// The file's bytes: tensors in name order, 8-byte aligned header, `metadata` under "__metadata__".
[[nodiscard]] std::string SerializeSafetensors(const TensorMap& tensors,
                                               const std::map<std::string, std::string>& metadata);
[[nodiscard]] absl::Status WriteSafetensors(const std::string& path, const TensorMap& tensors);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_SAFETENSORS_H_
