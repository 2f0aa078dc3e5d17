#ifndef MELLOW_COMMON_NN_WEIGHTS_HOST_TENSOR_H_
#define MELLOW_COMMON_NN_WEIGHTS_HOST_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow::nn {

enum class DType {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat64,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool
};

[[nodiscard]] size_t BytesPerElement(DType dtype);
[[nodiscard]] absl::string_view DTypeName(DType dtype);

// A named tensor of a file, row-major and contiguous, in host memory. Cheap to copy: `owner` keeps
// the bytes (a mapped file or a buffer) alive. The bytes need not be aligned. Immutable, so
// thread-safe.
struct HostTensor {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  absl::Span<const uint8_t> bytes;
  std::shared_ptr<const void> owner;

  [[nodiscard]] int64_t elements() const;
  // Values as fp32 (float types and integers are converted; exact for fp16, bf16 and small
  // integers).
  [[nodiscard]] std::vector<float> ToFloat32() const;
  // A tensor of `values`, which it owns. Precondition: values.size() is the product of `shape`.
  [[nodiscard]] static HostTensor FromFloat32(std::vector<float> values,
                                              std::vector<int64_t> shape);
};

// Product of the sizes; nullopt when one is negative or the product leaves int64. Readers of files
// check with it, so that elements() of a HostTensor is always meaningful.
[[nodiscard]] std::optional<int64_t> CheckedElements(absl::Span<const int64_t> shape);

// "[2, 768]"
[[nodiscard]] std::string ShapeString(absl::Span<const int64_t> shape);

// Name -> tensor, in name order.
using TensorMap = std::map<std::string, HostTensor>;

// Takes tensors out of a checkpoint by name and shape, and at the end says everything that is wrong
// at once.
//   TensorReader reader(tensors);
//   w.q = reader.Float32("encoder.q.weight", {768, 768});
//   MELLOW_RETURN_IF_ERROR(reader.Finish());
// Finish: FailedPrecondition listing missing, mis-shaped and (unless ignored) unexpected tensors by
// name; where all that is missing is there behind one prefix ("module."), as wrappers save a model,
// it says that instead.
class TensorReader {
 public:
  explicit TensorReader(const TensorMap& tensors) : tensors_(tensors) {}
  // The tensor as fp32, or zeros of that shape with the problem noted.
  [[nodiscard]] std::vector<float> Float32(const std::string& name, std::vector<int64_t> shape);
  // The tensor itself, or nullptr with the problem noted.
  [[nodiscard]] const HostTensor* Get(const std::string& name, const std::vector<int64_t>& shape);
  [[nodiscard]] bool Has(const std::string& name) const { return tensors_.count(name) != 0; }
  // Not an error when it is there (tied duplicates, buffers that are constants).
  void Ignore(const std::string& name) { used_[name] = true; }
  [[nodiscard]] absl::Status Finish() const;

 private:
  [[nodiscard]] std::string PrefixOfMissing() const;

  const TensorMap& tensors_;
  std::map<std::string, bool> used_;
  std::vector<std::string> missing_;
  std::vector<std::string> problems_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_HOST_TENSOR_H_
