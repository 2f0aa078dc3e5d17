#ifndef MELLOW_COMMON_NN_WEIGHTS_ZIP_ARCHIVE_H_
#define MELLOW_COMMON_NN_WEIGHTS_ZIP_ARCHIVE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace mellow::nn {

struct ZipEntry {
  absl::Span<const uint8_t> bytes;
  uint32_t crc = 0;  // 0: the writer did not compute it (torch.serialization.set_crc32_options)
};

// The stored (uncompressed) entries of a zip or zip64 archive by name; they point into `file`.
// DataLoss: truncated or corrupt, a name twice, entries that overlap. Unimplemented: compressed,
// encrypted or split archives.
[[nodiscard]] absl::StatusOr<std::map<std::string, ZipEntry>> ReadZipDirectory(
    absl::Span<const uint8_t> file);

// DataLoss when the entry's bytes are not those that were written.
[[nodiscard]] absl::Status CheckCrc(const ZipEntry& entry);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_ZIP_ARCHIVE_H_
