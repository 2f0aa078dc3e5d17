#include "common/nn/weights/finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"

namespace mellow::nn {
namespace {

// Values that are looked at together; small enough to find the bad one by looking again.
constexpr size_t kBlock = 4096;

// A float whose magnitude as an unsigned number is at least `first_bad`: all bits of the exponent
// are set in an infinity or a NaN, and order is that of the values. The sum instead of a branch
// lets the compiler vectorize the loop.
template <typename Bits>
bool AllBelow(const uint8_t* bytes, size_t count, Bits first_bad) {
  constexpr auto kMagnitude = static_cast<Bits>(std::numeric_limits<Bits>::max() / 2);
  uint32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    Bits value;
    std::memcpy(&value, bytes + i * sizeof(Bits), sizeof(Bits));
    bad += static_cast<Bits>(value & kMagnitude) >= first_bad ? 1 : 0;
  }
  return bad == 0;
}

// Index of the first value that is not below; `count` when all are.
template <typename Bits>
size_t FirstNotBelow(const uint8_t* bytes, size_t count, Bits first_bad) {
  for (size_t start = 0; start < count; start += kBlock) {
    const size_t block = std::min(kBlock, count - start);
    if (AllBelow(bytes + start * sizeof(Bits), block, first_bad)) continue;
    size_t at = start;
    while (AllBelow(bytes + at * sizeof(Bits), 1, first_bad)) ++at;
    return at;
  }
  return count;
}

constexpr uint32_t kFloat32Infinity = 0x7f800000u;

// The least double that rounds to fp32's infinity: the middle of fp32's largest number and 2^128.
constexpr uint64_t kRoundsToInfinity = 0x47effffff0000000u;

size_t FirstNotFinite(const HostTensor& tensor, size_t count) {
  const uint8_t* bytes = tensor.bytes.data();
  switch (tensor.dtype) {
    case DType::kFloat32:
      return FirstNotBelow<uint32_t>(bytes, count, kFloat32Infinity);
    case DType::kFloat16:
      return FirstNotBelow<uint16_t>(bytes, count, 0x7c00u);
    case DType::kBFloat16:
      return FirstNotBelow<uint16_t>(bytes, count, 0x7f80u);
    case DType::kFloat64:
      return FirstNotBelow<uint64_t>(bytes, count, kRoundsToInfinity);
    default:
      return count;
  }
}

bool IsFloat(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16 ||
         dtype == DType::kFloat64;
}

}  // namespace

absl::Status CheckWeights(const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (!IsFloat(tensor.dtype))
      return absl::FailedPreconditionError(
          absl::StrCat(name, " is of ", DTypeName(tensor.dtype), ", expected a float type"));
    const auto count = static_cast<size_t>(tensor.elements());
    const size_t bad = FirstNotFinite(tensor, count);
    if (bad < count)
      return absl::DataLossError(absl::StrCat(name, " ", ShapeString(tensor.shape), ": value ", bad,
                                              " of ", count, " is not finite"));
  }
  return absl::OkStatus();
}

absl::Status CheckComputed(absl::Span<const float> values, absl::string_view what) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  if (AllBelow(bytes, values.size(), kFloat32Infinity)) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("the model's ", what,
                   " are not finite: its weights, the adapter's, or their storage type (--dtype) "
                   "cannot be computed with"));
}

absl::Status CheckComputed(absl::Span<const std::vector<float>> rows, absl::string_view what) {
  for (const std::vector<float>& row : rows) {
    if (absl::Status status = CheckComputed(absl::MakeConstSpan(row), what); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

}  // namespace mellow::nn
