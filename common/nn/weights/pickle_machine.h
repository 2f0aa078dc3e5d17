#ifndef MELLOW_COMMON_NN_WEIGHTS_PICKLE_MACHINE_H_
#define MELLOW_COMMON_NN_WEIGHTS_PICKLE_MACHINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/nn/weights/host_tensor.h"

namespace mellow::nn {

// A tensor as a pickle describes it: a strided view of a storage whose bytes lie elsewhere.
// Nothing has been checked against the storage yet; sizes, strides and offset are not negative.
struct PickledTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::string storage_key;  // file name under data/
  int64_t storage_elements = 0;
  int64_t offset = 0;  // of the first element, in elements
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements, as many as sizes
};

// Interprets a pickle that holds a dict of name -> tensor as torch.save writes it, with a machine
// that knows the opcodes of data and only the globals that tensors need. Nothing is ever called.
// DataLoss: not a pickle, truncated, or one that makes no sense (stack underflow, memo of nothing,
// unreasonable size). Unimplemented: another opcode, another global (named), an entry that is not a
// tensor (named).
[[nodiscard]] absl::StatusOr<std::vector<PickledTensor>> UnpickleTensors(absl::string_view pickle);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_PICKLE_MACHINE_H_
