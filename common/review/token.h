#ifndef MELLOW_COMMON_REVIEW_TOKEN_H_
#define MELLOW_COMMON_REVIEW_TOKEN_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace mellow::review {

// The key to one annotator's page: 128 bits from the kernel's random number generator, as 32
// lower-case hex digits. Only its hash is kept.
[[nodiscard]] std::string NewToken();
[[nodiscard]] bool LooksLikeToken(absl::string_view text);
[[nodiscard]] std::string TokenHash(absl::string_view token);  // SHA-256, hex

// Takes as long for texts that differ in the first byte as for equal ones.
[[nodiscard]] bool EqualInConstantTime(absl::string_view a, absl::string_view b);

// 64 bits from the same source.
[[nodiscard]] uint64_t RandomSeed();

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_TOKEN_H_
