#ifndef MELLOW_COMMON_BASE_UTC_H_
#define MELLOW_COMMON_BASE_UTC_H_

#include <cstdint>
#include <string>

namespace mellow {

// "2026-01-02 03:04:05", for people.
[[nodiscard]] std::string UtcText(int64_t unix_seconds);
// "2026-01-02T03:04:05Z", for programs.
[[nodiscard]] std::string UtcIso(int64_t unix_seconds);

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_UTC_H_
