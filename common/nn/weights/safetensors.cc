#include "common/nn/weights/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"

namespace mellow::nn {
namespace {

constexpr size_t kLengthBytes = 8;
// The reference implementation's own bound.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadata[] = "__metadata__";

struct NamedDType {
  const char* name;
  DType dtype;
};
constexpr NamedDType kDTypes[] = {
    {"F32", DType::kFloat32}, {"F16", DType::kFloat16}, {"BF16", DType::kBFloat16},
    {"F64", DType::kFloat64}, {"I64", DType::kInt64},   {"I32", DType::kInt32},
    {"I16", DType::kInt16},   {"I8", DType::kInt8},     {"U8", DType::kUInt8},
    {"BOOL", DType::kBool},
};

std::optional<DType> DTypeOf(absl::string_view name) {
  for (const NamedDType& entry : kDTypes) {
    if (name == entry.name) return entry.dtype;
  }
  return std::nullopt;
}

const char* FileNameOf(DType dtype) {
  for (const NamedDType& entry : kDTypes) {
    if (dtype == entry.dtype) return entry.name;
  }
  return "F32";
}

struct Entry {
  uint64_t begin;
  uint64_t end;
  const std::string* name;
};

// One value of the header: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}.
absl::Status ParseEntry(const json::Value& value, absl::Span<const uint8_t> data,
                        HostTensor* tensor, uint64_t* begin, uint64_t* end) {
  if (!value.is_object()) return absl::DataLossError("not an object");
  std::string dtype;
  if (!value.Get("dtype", &dtype)) return absl::DataLossError("no dtype");
  const json::Value* shape = value.Find("shape");
  if (shape == nullptr || !shape->is_array()) return absl::DataLossError("no shape");
  std::vector<uint64_t> offsets;
  if (!value.Get("data_offsets", &offsets) || offsets.size() != 2)
    return absl::DataLossError("data_offsets are not two positions");

  const std::optional<DType> known = DTypeOf(dtype);
  if (!known) return absl::UnimplementedError(absl::StrCat("dtype ", dtype));
  tensor->dtype = *known;
  for (const json::Value& size : shape->elements()) {
    int64_t elements = 0;
    if (!size.To(&elements) || elements < 0)
      return absl::DataLossError("a size in the shape is not a number");
    tensor->shape.push_back(elements);
  }
  *begin = offsets[0];
  *end = offsets[1];
  if (*begin > *end || *end > data.size())
    return absl::DataLossError(absl::StrCat("bytes ", *begin, " to ", *end,
                                            " are outside the file, which holds ", data.size(),
                                            " (truncated?)"));
  const std::optional<int64_t> elements = CheckedElements(tensor->shape);
  uint64_t bytes = 0;
  if (!elements ||
      __builtin_mul_overflow(static_cast<uint64_t>(*elements), BytesPerElement(*known), &bytes) ||
      bytes != *end - *begin)
    return absl::DataLossError(absl::StrCat(*end - *begin, " bytes do not hold ", DTypeName(*known),
                                            " ", ShapeString(tensor->shape)));
  tensor->bytes = data.subspan(*begin, *end - *begin);
  return absl::OkStatus();
}

// The tensors must tile the data: no hole where something could hide, no byte used twice, none left
// over.
absl::Status CheckTiling(std::vector<Entry> entries, uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != position)
      return absl::DataLossError(
          absl::StrCat(*entry.name, " begins at byte ", entry.begin, ", expected ", position));
    position = entry.end;
  }
  if (position != data_bytes)
    return absl::DataLossError(
        absl::StrCat("the tensors end at byte ", position, " of ", data_bytes));
  return absl::OkStatus();
}

absl::StatusOr<TensorMap> ParseBytes(absl::Span<const uint8_t> file,
                                     const std::shared_ptr<const void>& owner) {
  if (file.size() < kLengthBytes) return absl::DataLossError("too short for a safetensors file");
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) header_bytes |= uint64_t{file[i]} << (8 * i);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - kLengthBytes)
    return absl::DataLossError(
        absl::StrCat("a header of ", header_bytes, " bytes in a file of ", file.size()));
  const absl::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                               header_bytes);
  absl::StatusOr<json::Value> header = json::ParseObject(text, "header");
  if (!header.ok()) return absl::DataLossError(header.status().message());

  const absl::Span<const uint8_t> data = file.subspan(kLengthBytes + header_bytes);
  TensorMap tensors;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header->members()) {
    if (name == kMetadata) continue;
    HostTensor tensor;
    uint64_t begin = 0;
    uint64_t end = 0;
    MELLOW_RETURN_IF_ERROR(Annotate(ParseEntry(value, data, &tensor, &begin, &end), name));
    tensor.owner = owner;
    const auto placed = tensors.emplace(name, std::move(tensor)).first;
    entries.push_back({begin, end, &placed->first});
  }
  MELLOW_RETURN_IF_ERROR(CheckTiling(std::move(entries), data.size()));
  return tensors;
}

absl::StatusOr<TensorMap> ParseNamed(absl::Span<const uint8_t> file,
                                     const std::shared_ptr<const void>& owner,
                                     absl::string_view name) {
  absl::StatusOr<TensorMap> tensors = ParseBytes(file, owner);
  if (!tensors.ok()) return Annotate(tensors.status(), name);
  return tensors;
}

}  // namespace

absl::StatusOr<TensorMap> ReadSafetensors(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  return ParseNamed(file->bytes(), file, path);
}

absl::StatusOr<TensorMap> ParseSafetensors(std::shared_ptr<const std::string> data,
                                           absl::string_view name) {
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(data->data()),
                                        data->size());
  return ParseNamed(bytes, data, name);
}

std::string SerializeSafetensors(const TensorMap& tensors,
                                 const std::map<std::string, std::string>& metadata) {
  json::Value header = json::Value::MakeObject();
  if (!metadata.empty()) header.Add(kMetadata, metadata);
  uint64_t position = 0;
  for (const auto& [name, tensor] : tensors) {
    header.Add(name, {{"dtype", FileNameOf(tensor.dtype)},
                      {"shape", tensor.shape},
                      {"data_offsets", json::Array{position, position + tensor.bytes.size()}}});
    position += tensor.bytes.size();
  }
  std::string text = json::Write(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');

  std::string file;
  file.reserve(kLengthBytes + text.size() + position);
  for (size_t i = 0; i < kLengthBytes; ++i)
    file.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xff));
  file += text;
  for (const auto& [name, tensor] : tensors)
    file.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return file;
}

absl::Status WriteSafetensors(const std::string& path, const TensorMap& tensors) {
  // "format": transformers and peft refuse a file that does not say which framework its layout is
  // meant for.
  return WriteFileAtomic(path, SerializeSafetensors(tensors, {{"format", "pt"}}));
}

}  // namespace mellow::nn
