#ifndef MELLOW_TESTS_COMMON_NN_WEIGHTS_TORCH_ZIP_BUILDER_H_
#define MELLOW_TESTS_COMMON_NN_WEIGHTS_TORCH_ZIP_BUILDER_H_

// PyTorch checkpoints piece by piece, right ones and wrong ones.

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace mellow::nn::testing {

inline std::string Little(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i)
    text.push_back(i < 8 ? static_cast<char>((value >> (8 * i)) & 0xff) : 0);
  return text;
}

// --- pickle opcodes ---

inline std::string Pickle(const std::string& body) { return absl::StrCat("\x80\x02", body, "."); }
inline std::string Global(const std::string& module, const std::string& name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}
inline std::string Text(const std::string& text) {
  return absl::StrCat("X", Little(text.size(), 4), text);
}
inline std::string Int(int64_t value) {
  return absl::StrCat("\x8a\x08", Little(static_cast<uint64_t>(value), 8));
}
inline std::string Tuple(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (int64_t value : values) text += Int(value);
  return text + "t";
}
inline std::string Storage(const std::string& type, const std::string& key, int64_t elements,
                           const std::string& device = "cpu") {
  return absl::StrCat("(", Text("storage"), Global("torch", type), Text(key), Text(device),
                      Int(elements), "tQ");
}
inline std::string Tensor(const std::string& storage, int64_t offset,
                          const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  return absl::StrCat(Global("torch._utils", "_rebuild_tensor_v2"), "(", storage, Int(offset),
                      Tuple(shape), Tuple(strides), "\x89", Global("collections", "OrderedDict"),
                      ")RtR");
}
inline std::string Dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string text = "}(";
  for (const auto& [name, value] : items) text += Text(name) + value;
  return text + "u";
}

// --- zip ---

inline uint32_t Crc32(const std::string& data) {
  uint32_t crc = 0xffffffff;
  for (const char byte : data) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  return ~crc;
}

struct ZipFile {
  std::string name;
  std::string data;
  uint16_t method = 0;
  uint16_t flags = 0;
  uint32_t crc_xor = 0;
};

inline std::string Zip(const std::vector<ZipFile>& files, bool zip64 = false,
                       const std::string& comment = "") {
  std::string out;
  std::string directory;
  for (const ZipFile& file : files) {
    const uint64_t offset = out.size();
    const uint32_t crc = Crc32(file.data) ^ file.crc_xor;
    const std::string sums = absl::StrCat(Little(0, 4), Little(crc, 4));  // time and date, checksum
    const std::string kind =
        absl::StrCat(Little(20, 2), Little(file.flags, 2), Little(file.method, 2), sums);
    absl::StrAppend(&out, "PK\x03\x04", kind, Little(file.data.size(), 4),
                    Little(file.data.size(), 4), Little(file.name.size(), 2), Little(0, 2),
                    file.name, file.data);
    std::string extra;
    if (zip64) {
      extra =
          absl::StrCat(Little(9, 2), Little(2, 2), "xx", Little(1, 2), Little(24, 2),
                       Little(file.data.size(), 8), Little(file.data.size(), 8), Little(offset, 8));
    }
    const std::string size = Little(zip64 ? 0xffffffff : file.data.size(), 4);
    absl::StrAppend(&directory, "PK\x01\x02", Little(20, 2), kind, size, size,
                    Little(file.name.size(), 2), Little(extra.size(), 2), Little(0, 10),
                    Little(zip64 ? 0xffffffff : offset, 4), file.name, extra);
  }
  const uint64_t begin = out.size();
  out += directory;
  if (zip64) {
    const uint64_t end64 = out.size();
    absl::StrAppend(&out, "PK\x06\x06", Little(44, 8), Little(45, 2), Little(45, 2), Little(0, 8),
                    Little(files.size(), 8), Little(files.size(), 8), Little(directory.size(), 8),
                    Little(begin, 8));
    absl::StrAppend(&out, "PK\x06\x07", Little(0, 4), Little(end64, 8), Little(1, 4));
  }
  const std::string count = Little(zip64 ? 0xffff : files.size(), 2);
  absl::StrAppend(&out, "PK\x05\x06", Little(0, 4), count, count,
                  Little(zip64 ? 0xffffffff : directory.size(), 4),
                  Little(zip64 ? 0xffffffff : begin, 4), Little(comment.size(), 2), comment);
  return out;
}

inline std::string Floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// A checkpoint of the one storage "0" with six floats, 1 to 6.
inline std::string Checkpoint(const std::string& pickle, bool zip64 = false) {
  return Zip({{"model/data.pkl", pickle},
              {"model/byteorder", "little"},
              {"model/data/0", Floats({1, 2, 3, 4, 5, 6})}},
             zip64);
}

}  // namespace mellow::nn::testing

#endif  // MELLOW_TESTS_COMMON_NN_WEIGHTS_TORCH_ZIP_BUILDER_H_
