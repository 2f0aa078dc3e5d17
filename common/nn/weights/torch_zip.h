#ifndef MELLOW_COMMON_NN_WEIGHTS_TORCH_ZIP_H_
#define MELLOW_COMMON_NN_WEIGHTS_TORCH_ZIP_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// Reads a PyTorch checkpoint (.bin/.pt of torch >= 1.6: a zip archive of stored entries with
// data.pkl and data/<key>) that holds a flat dict of name -> tensor. The pickle is interpreted by a
// machine that knows the opcodes and the few globals that torch.save emits for tensors
// (torch._utils._rebuild_tensor_v2, torch.*Storage, collections.OrderedDict); nothing is ever
// executed. Storages of any device ("cuda:0", "mps") are read to host memory; strided views are
// made contiguous. Errors name the file. DataLoss: truncated or corrupt. Unimplemented: another
// global or opcode (named), a compressed entry, the pre-1.6 format.
[[nodiscard]] absl::StatusOr<TensorMap> ReadTorchZip(const std::string& path);
[[nodiscard]] absl::StatusOr<TensorMap> ParseTorchZip(std::shared_ptr<const std::string> data,
                                                      absl::string_view name);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_TORCH_ZIP_H_
