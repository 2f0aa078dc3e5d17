#include "common/nn/weights/host_tensor.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/base/casts.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mellow::nn {
namespace {

// A checkpoint of the wrong architecture has hundreds of problems; the first ones tell enough.
constexpr size_t kMaxProblems = 24;

// The conversions below are free of branches, so that the compiler vectorizes the loops.
float HalfToFloat(uint16_t half) {
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  const uint32_t exponent = magnitude & 0x0f800000u;
  // Subnormal: borrow the exponent of 2^-14 and take it away again, which is exact.
  const float subnormal = absl::bit_cast<float>(magnitude + 0x38800000u) - 0x1.0p-14f;
  const uint32_t normal = magnitude + 0x38000000u;
  const uint32_t special = magnitude | 0x7f800000u;  // infinity and NaN keep their payload
  uint32_t bits = exponent == 0 ? absl::bit_cast<uint32_t>(subnormal) : normal;
  bits = exponent == 0x0f800000u ? special : bits;
  return absl::bit_cast<float>(bits | ((half & 0x8000u) << 16));
}

float BFloat16ToFloat(uint16_t half) {
  return absl::bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

template <typename T, typename Convert>
std::vector<float> ConvertAll(const HostTensor& tensor, Convert convert) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  const uint8_t* bytes = tensor.bytes.data();
  for (size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));  // the bytes need not be aligned
    values[i] = convert(value);
  }
  return values;
}

template <typename T>
std::vector<float> CastAll(const HostTensor& tensor) {
  return ConvertAll<T>(tensor, [](T value) { return static_cast<float>(value); });
}

std::vector<float> CopyFloats(const HostTensor& tensor) {
  const auto count = static_cast<size_t>(tensor.elements());
  const uint8_t* bytes = tensor.bytes.data();
  if (reinterpret_cast<uintptr_t>(bytes) % alignof(float) == 0) {
    // Built from a range, the vector is not filled with zeros first: half the memory traffic of a
    // large model.
    const auto* first = reinterpret_cast<const float*>(bytes);
    return std::vector<float>(first, first + count);
  }
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes, count * sizeof(float));
  return values;
}

}  // namespace

size_t BytesPerElement(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kInt16:
      return 2;
    case DType::kInt8:
    case DType::kUInt8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

absl::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kFloat64:
      return "float64";
    case DType::kInt64:
      return "int64";
    case DType::kInt32:
      return "int32";
    case DType::kInt16:
      return "int16";
    case DType::kInt8:
      return "int8";
    case DType::kUInt8:
      return "uint8";
    case DType::kBool:
      return "bool";
  }
  return "unknown";
}

std::optional<int64_t> CheckedElements(absl::Span<const int64_t> shape) {
  int64_t product = 1;
  bool empty = false;
  for (int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : product;
}

int64_t HostTensor::elements() const {
  int64_t product = 1;
  for (int64_t size : shape) product *= size;
  return product;
}

std::vector<float> HostTensor::ToFloat32() const {
  switch (dtype) {
    case DType::kFloat32:
      return CopyFloats(*this);
    case DType::kFloat16:
      return ConvertAll<uint16_t>(*this, HalfToFloat);
    case DType::kBFloat16:
      return ConvertAll<uint16_t>(*this, BFloat16ToFloat);
    case DType::kFloat64:
      return CastAll<double>(*this);
    case DType::kInt64:
      return CastAll<int64_t>(*this);
    case DType::kInt32:
      return CastAll<int32_t>(*this);
    case DType::kInt16:
      return CastAll<int16_t>(*this);
    case DType::kInt8:
      return CastAll<int8_t>(*this);
    case DType::kUInt8:
      return CastAll<uint8_t>(*this);
    case DType::kBool:
      return ConvertAll<uint8_t>(*this, [](uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
  }
  return {};
}

HostTensor HostTensor::FromFloat32(std::vector<float> values, std::vector<int64_t> shape) {
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(owner->data()),
                                        owner->size() * sizeof(float));
  return {DType::kFloat32, std::move(shape), bytes, std::move(owner)};
}

std::string ShapeString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

const HostTensor* TensorReader::Get(const std::string& name, const std::vector<int64_t>& shape) {
  used_[name] = true;
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    missing_.push_back(name);
    problems_.push_back(absl::StrCat("missing ", name, " ", ShapeString(shape)));
    return nullptr;
  }
  if (found->second.shape != shape) {
    problems_.push_back(absl::StrCat(name, " is ", ShapeString(found->second.shape), ", expected ",
                                     ShapeString(shape)));
    return nullptr;
  }
  return &found->second;
}

std::vector<float> TensorReader::Float32(const std::string& name, std::vector<int64_t> shape) {
  if (const HostTensor* tensor = Get(name, shape)) return tensor->ToFloat32();
  return std::vector<float>(static_cast<size_t>(CheckedElements(shape).value_or(0)));
}

// What stands before every missing name in the file; empty: nothing does.
std::string TensorReader::PrefixOfMissing() const {
  if (missing_.empty()) return "";
  for (const auto& [name, tensor] : tensors_) {
    if (!absl::EndsWith(name, "." + missing_[0])) continue;
    const std::string prefix = name.substr(0, name.size() - missing_[0].size());
    const bool all = std::all_of(missing_.begin(), missing_.end(), [&](const std::string& missing) {
      return tensors_.count(prefix + missing) != 0;
    });
    if (all) return prefix;
  }
  return "";
}

absl::Status TensorReader::Finish() const {
  if (const std::string prefix = PrefixOfMissing(); !prefix.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the tensors do not fit the model: their names begin with \"", prefix, "\" (\"", prefix,
        missing_[0], "\"), as a wrapper saves them; expected \"", missing_[0], "\""));
  }
  std::vector<std::string> problems = problems_;
  for (const auto& [name, tensor] : tensors_) {
    if (used_.count(name) == 0)
      problems.push_back(absl::StrCat("unexpected ", name, " ", ShapeString(tensor.shape)));
  }
  if (problems.empty()) return absl::OkStatus();
  const size_t count = problems.size();
  if (count > kMaxProblems) {
    problems.resize(kMaxProblems);
    problems.push_back(absl::StrCat("and ", count - kMaxProblems, " more"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the tensors do not fit the model: ", absl::StrJoin(problems, "; ")));
}

}  // namespace mellow::nn
