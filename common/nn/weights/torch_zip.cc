#include "common/nn/weights/torch_zip.h"

#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/weights/pickle_machine.h"
#include "common/nn/weights/zip_archive.h"

namespace mellow::nn {
namespace {

constexpr absl::string_view kPickleName = "/data.pkl";
// What torch before 1.6 begins with: a pickle of its magic number.
constexpr absl::string_view kOldMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
// Views that are made contiguous may take this much more memory than the file has.
constexpr uint64_t kCopySlack = uint64_t{64} << 20;

absl::string_view TextOf(absl::Span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool IsContiguous(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] == 1) continue;
    if (tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Elements of the storage from its begin to the last one that the view touches; nullopt on
// overflow.
std::optional<int64_t> Reach(const PickledTensor& tensor) {
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t step = 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) ||
        __builtin_add_overflow(last, step, &last))
      return std::nullopt;
  }
  if (last == INT64_MAX) return std::nullopt;
  return last + 1;
}

// Row-major copy of a strided view. The last dimension is the inner loop; an odometer runs over the
// others.
std::shared_ptr<const std::vector<uint8_t>> CopyView(const PickledTensor& tensor,
                                                     const uint8_t* storage, int64_t elements) {
  const size_t width = BytesPerElement(tensor.dtype);
  auto copy = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(elements) * width);
  uint8_t* out = copy->data();
  const size_t rank = tensor.shape.size();
  std::vector<int64_t> index(rank, 0);
  int64_t position = tensor.offset;
  for (int64_t done = 0; done < elements; done += tensor.shape[rank - 1]) {
    for (int64_t i = 0; i < tensor.shape[rank - 1]; ++i, out += width)
      std::memcpy(out,
                  storage + static_cast<size_t>(position + i * tensor.strides[rank - 1]) * width,
                  width);
    for (size_t d = rank - 1; d-- > 0;) {
      position += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      position -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
  return copy;
}

class Loader {
 public:
  Loader(absl::Span<const uint8_t> file, std::shared_ptr<const void> owner)
      : file_(file), owner_(std::move(owner)), copy_budget_(file.size() + kCopySlack) {}

  absl::StatusOr<TensorMap> Run() {
    if (absl::StartsWith(TextOf(file_), kOldMagic))
      return absl::UnimplementedError(
          "the format of torch before 1.6; save it again with a newer torch, or as safetensors");
    MELLOW_ASSIGN_OR_RETURN(entries_, ReadZipDirectory(file_));
    MELLOW_ASSIGN_OR_RETURN(const absl::string_view pickle, FindPickle());
    MELLOW_ASSIGN_OR_RETURN(const std::vector<PickledTensor> pickled, UnpickleTensors(pickle));
    TensorMap tensors;
    for (const PickledTensor& tensor : pickled) {
      absl::StatusOr<HostTensor> loaded = Load(tensor);
      if (!loaded.ok()) return Annotate(loaded.status(), tensor.name);
      tensors.emplace(tensor.name, *std::move(loaded));
    }
    return tensors;
  }

 private:
  absl::StatusOr<absl::string_view> FindPickle() {
    for (const auto& [name, entry] : entries_) {
      // NAME/data.pkl, NAME being whatever the file was called when it was saved.
      if (!absl::EndsWith(name, kPickleName) || name.find('/') != name.size() - kPickleName.size())
        continue;
      prefix_ = name.substr(0, name.size() - kPickleName.size() + 1);
      MELLOW_RETURN_IF_ERROR(Annotate(CheckCrc(entry), name));
      MELLOW_RETURN_IF_ERROR(CheckByteOrder());
      return TextOf(entry.bytes);
    }
    return absl::DataLossError("a zip archive without data.pkl, not a PyTorch checkpoint");
  }

  absl::Status CheckByteOrder() const {
    const auto order = entries_.find(prefix_ + "byteorder");
    if (order == entries_.end() || TextOf(order->second.bytes) == "little") return absl::OkStatus();
    return absl::UnimplementedError("saved on a big-endian machine");
  }

  // The bytes of a storage, checked once against the number of elements that the pickle claims.
  absl::StatusOr<absl::Span<const uint8_t>> Storage(const PickledTensor& tensor) {
    const std::string name = absl::StrCat(prefix_, "data/", tensor.storage_key);
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) return absl::DataLossError(absl::StrCat("no entry ", name));
    const absl::Span<const uint8_t> bytes = entry->second.bytes;
    if (static_cast<uint64_t>(tensor.storage_elements) >
        bytes.size() / BytesPerElement(tensor.dtype))
      return absl::DataLossError(absl::StrCat(name, " has ", bytes.size(), " bytes for ",
                                              tensor.storage_elements, " elements of ",
                                              DTypeName(tensor.dtype)));
    if (checked_.emplace(name, true).second)
      MELLOW_RETURN_IF_ERROR(Annotate(CheckCrc(entry->second), name));
    return bytes;
  }

  absl::StatusOr<HostTensor> Load(const PickledTensor& tensor) {
    MELLOW_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> storage, Storage(tensor));
    const std::optional<int64_t> elements = CheckedElements(tensor.shape);
    if (!elements)
      return absl::DataLossError(absl::StrCat("impossible shape ", ShapeString(tensor.shape)));
    HostTensor loaded = {.dtype = tensor.dtype, .shape = tensor.shape};
    if (*elements == 0) return loaded;
    const std::optional<int64_t> reach = Reach(tensor);
    if (!reach || *reach > tensor.storage_elements)
      return absl::DataLossError(absl::StrCat("a view ", ShapeString(tensor.shape),
                                              " reaches outside its storage of ",
                                              tensor.storage_elements, " elements"));
    const size_t width = BytesPerElement(tensor.dtype);
    if (IsContiguous(tensor)) {
      loaded.bytes = storage.subspan(static_cast<size_t>(tensor.offset) * width,
                                     static_cast<size_t>(*elements) * width);
      loaded.owner = owner_;
      return loaded;
    }
    if (static_cast<uint64_t>(*elements) > copy_budget_ / width)
      return absl::DataLossError("views that would take far more memory than the file has");
    copy_budget_ -= static_cast<uint64_t>(*elements) * width;
    auto copy = CopyView(tensor, storage.data(), *elements);
    loaded.bytes = *copy;
    loaded.owner = std::move(copy);
    return loaded;
  }

  absl::Span<const uint8_t> file_;
  std::shared_ptr<const void> owner_;
  uint64_t copy_budget_;
  std::map<std::string, ZipEntry> entries_;
  std::string prefix_;                   // "archive/"
  std::map<std::string, bool> checked_;  // storages whose checksum is right
};

absl::StatusOr<TensorMap> ParseNamedZip(absl::Span<const uint8_t> file,
                                        std::shared_ptr<const void> owner, absl::string_view name) {
  absl::StatusOr<TensorMap> tensors = Loader(file, std::move(owner)).Run();
  if (!tensors.ok()) return Annotate(tensors.status(), name);
  return tensors;
}

}  // namespace

absl::StatusOr<TensorMap> ReadTorchZip(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  return ParseNamedZip(file->bytes(), file, path);
}

absl::StatusOr<TensorMap> ParseTorchZip(std::shared_ptr<const std::string> data,
                                        absl::string_view name) {
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(data->data()),
                                        data->size());
  return ParseNamedZip(bytes, data, name);
}

}  // namespace mellow::nn
