#ifndef MELLOW_COMMON_BASE_SHA256_H_
#define MELLOW_COMMON_BASE_SHA256_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace mellow {

// Incremental SHA-256. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(const void* data, size_t bytes);
  void Update(absl::string_view text) { Update(text.data(), text.size()); }
  // The digest as 64 lower-case hex digits. Call once.
  [[nodiscard]] std::string HexDigest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

[[nodiscard]] std::string Sha256Hex(absl::string_view data);
// The first twelve digits, which people compare; "-" when there is none.
[[nodiscard]] std::string ShortHash(absl::string_view sha256);

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_SHA256_H_
