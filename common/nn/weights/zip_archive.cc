#include "common/nn/weights/zip_archive.h"

#include <zlib.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::nn {
namespace {

// Records of APPNOTE.TXT 6.3, section 4.3: signature and size of the fixed part.
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr size_t kLocalBytes = 30;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr size_t kCentralBytes = 46;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kMaxComment = 0xffff;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr size_t kEnd64Bytes = 56;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr size_t kLocator64Bytes = 20;
constexpr uint16_t kZip64Field = 1;
constexpr uint16_t kEncryptedFlag = 1;

// Little-endian numbers at checked places of a file.
class Reader {
 public:
  explicit Reader(absl::Span<const uint8_t> file) : file_(file) {}

  uint64_t size() const { return file_.size(); }
  bool Has(uint64_t position, uint64_t bytes) const {
    return position <= size() && bytes <= size() - position;
  }
  // Preconditions: Has(position, width).
  uint16_t U16(uint64_t position) const { return static_cast<uint16_t>(Number(position, 2)); }
  uint32_t U32(uint64_t position) const { return static_cast<uint32_t>(Number(position, 4)); }
  uint64_t U64(uint64_t position) const { return Number(position, 8); }
  absl::Span<const uint8_t> Bytes(uint64_t position, uint64_t bytes) const {
    return file_.subspan(position, bytes);
  }
  std::string Text(uint64_t position, uint64_t bytes) const {
    return std::string(reinterpret_cast<const char*>(file_.data() + position), bytes);
  }
  bool Starts(uint64_t position, uint32_t signature, uint64_t bytes) const {
    return Has(position, bytes) && U32(position) == signature;
  }

 private:
  uint64_t Number(uint64_t position, int width) const {
    uint64_t value = 0;
    for (int i = 0; i < width; ++i) value |= uint64_t{file_[position + i]} << (8 * i);
    return value;
  }
  absl::Span<const uint8_t> file_;
};

struct Directory {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t entries = 0;
};

std::optional<uint64_t> FindEnd(const Reader& file) {
  if (file.size() < kEndBytes) return std::nullopt;
  const uint64_t last = file.size() - kEndBytes;
  for (uint64_t back = 0; back <= std::min<uint64_t>(last, kMaxComment); ++back) {
    const uint64_t position = last - back;
    // The comment must reach to the end of the file, or it is not the end record but bytes that
    // look like one.
    if (file.U32(position) == kEndSignature && file.U16(position + 20) == back) return position;
  }
  return std::nullopt;
}

absl::StatusOr<Directory> FindDirectory(const Reader& file) {
  const std::optional<uint64_t> end = FindEnd(file);
  if (!end) return absl::DataLossError("no zip directory at the end (truncated?)");
  Directory directory = {file.U32(*end + 16), file.U32(*end + 12), file.U16(*end + 10)};
  bool split = file.U16(*end + 4) != 0 || file.U16(*end + 6) != 0;
  if (*end >= kLocator64Bytes && file.U32(*end - kLocator64Bytes) == kLocator64Signature) {
    const uint64_t end64 = file.U64(*end - kLocator64Bytes + 8);
    if (!file.Starts(end64, kEnd64Signature, kEnd64Bytes))
      return absl::DataLossError("no zip64 directory where it should be");
    directory = {file.U64(end64 + 48), file.U64(end64 + 40), file.U64(end64 + 32)};
    split = file.U32(end64 + 16) != 0 || file.U32(end64 + 20) != 0;
  }
  if (split) return absl::UnimplementedError("a zip archive split over several files");
  if (!file.Has(directory.offset, directory.bytes))
    return absl::DataLossError("the zip directory is outside the file");
  return directory;
}

struct CentralEntry {
  std::string name;
  uint32_t crc = 0;
  uint64_t stored_bytes = 0;
  uint64_t bytes = 0;
  uint64_t local_offset = 0;
};

// Replaces the fields that say 0xffffffff by their 64-bit values from the extra field, in the order
// of APPNOTE 4.5.3.
absl::Status ApplyZip64(const Reader& file, uint64_t position, uint64_t bytes,
                        CentralEntry* entry) {
  std::vector<uint64_t*> wide;
  for (uint64_t* field : {&entry->bytes, &entry->stored_bytes, &entry->local_offset}) {
    if (*field == 0xffffffff) wide.push_back(field);
  }
  const uint64_t end = position + bytes;
  while (!wide.empty() && end - position >= 4) {
    const uint16_t id = file.U16(position);
    const uint64_t length = file.U16(position + 2);
    position += 4;
    if (length > end - position) return absl::DataLossError("a bad extra field");
    if (id == kZip64Field) {
      if (length < 8 * wide.size()) return absl::DataLossError("a bad zip64 field");
      for (size_t i = 0; i < wide.size(); ++i) *wide[i] = file.U64(position + 8 * i);
      return absl::OkStatus();
    }
    position += length;
  }
  return wide.empty() ? absl::OkStatus() : absl::DataLossError("no zip64 field");
}

// Parses the record at *position and moves it behind.
absl::StatusOr<CentralEntry> ParseCentral(const Reader& file, uint64_t* position, uint64_t end) {
  const uint64_t at = *position;
  if (end - at < kCentralBytes || file.U32(at) != kCentralSignature)
    return absl::DataLossError("a bad zip directory");
  const uint64_t name_bytes = file.U16(at + 28);
  const uint64_t extra_bytes = file.U16(at + 30);
  const uint64_t record_bytes = kCentralBytes + name_bytes + extra_bytes + file.U16(at + 32);
  if (end - at < record_bytes) return absl::DataLossError("a bad zip directory");
  CentralEntry entry = {.name = file.Text(at + kCentralBytes, name_bytes),
                        .crc = file.U32(at + 16),
                        .stored_bytes = file.U32(at + 20),
                        .bytes = file.U32(at + 24),
                        .local_offset = file.U32(at + 42)};
  MELLOW_RETURN_IF_ERROR(
      Annotate(ApplyZip64(file, at + kCentralBytes + name_bytes, extra_bytes, &entry), entry.name));
  if ((file.U16(at + 8) & kEncryptedFlag) != 0)
    return absl::UnimplementedError(absl::StrCat(entry.name, ": encrypted zip entry"));
  if (file.U16(at + 10) != 0)
    return absl::UnimplementedError(
        absl::StrCat(entry.name, ": compressed zip entry (torch.save stores)"));
  if (entry.stored_bytes != entry.bytes)
    return absl::DataLossError(absl::StrCat(entry.name, ": two sizes"));
  *position += record_bytes;
  return entry;
}

absl::StatusOr<ZipEntry> Locate(const Reader& file, const CentralEntry& entry) {
  const uint64_t local = entry.local_offset;
  if (!file.Starts(local, kLocalSignature, kLocalBytes))
    return absl::DataLossError(absl::StrCat(entry.name, ": no zip entry where the directory says"));
  const uint64_t name_bytes = file.U16(local + 26);
  const uint64_t begin = local + kLocalBytes + name_bytes + file.U16(local + 28);
  if (!file.Has(begin, entry.bytes))
    return absl::DataLossError(absl::StrCat(entry.name, ": outside the file"));
  if (file.Text(local + kLocalBytes, name_bytes) != entry.name)
    return absl::DataLossError(absl::StrCat(entry.name, ": has another name at its place"));
  return ZipEntry{file.Bytes(begin, entry.bytes), entry.crc};
}

}  // namespace

absl::StatusOr<std::map<std::string, ZipEntry>> ReadZipDirectory(absl::Span<const uint8_t> file) {
  const Reader reader(file);
  MELLOW_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(reader));
  std::map<std::string, ZipEntry> entries;
  std::vector<absl::Span<const uint8_t>> spans;
  uint64_t position = directory.offset;
  const uint64_t end = directory.offset + directory.bytes;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    MELLOW_ASSIGN_OR_RETURN(const CentralEntry central, ParseCentral(reader, &position, end));
    MELLOW_ASSIGN_OR_RETURN(const ZipEntry entry, Locate(reader, central));
    if (!entries.emplace(central.name, entry).second)
      return absl::DataLossError(absl::StrCat(central.name, ": twice in the archive"));
    if (!entry.bytes.empty()) spans.push_back(entry.bytes);
  }
  if (position != end)
    return absl::DataLossError("the zip directory has another length than it says");
  std::sort(spans.begin(), spans.end(),
            [](const auto& a, const auto& b) { return a.data() < b.data(); });
  for (size_t i = 1; i < spans.size(); ++i) {
    if (spans[i - 1].data() + spans[i - 1].size() > spans[i].data())
      return absl::DataLossError("two zip entries share bytes");
  }
  return entries;
}

absl::Status CheckCrc(const ZipEntry& entry) {
  if (entry.crc == 0) return absl::OkStatus();
  const uLong crc = crc32_z(0, entry.bytes.data(), entry.bytes.size());
  return crc == entry.crc ? absl::OkStatus()
                          : absl::DataLossError("checksum mismatch, the file is damaged");
}

}  // namespace mellow::nn
