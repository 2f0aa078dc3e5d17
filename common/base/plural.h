#ifndef MELLOW_COMMON_BASE_PLURAL_H_
#define MELLOW_COMMON_BASE_PLURAL_H_

// Counts as people read them.

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace mellow {

// "3,538,944".
[[nodiscard]] std::string Grouped(int64_t number);

// "1 prompt", "2,000 prompts". `many`: of a noun that gets another ending ("people"), or with more
// words; empty: noun and an s.
[[nodiscard]] std::string Plural(int64_t number, absl::string_view noun,
                                 absl::string_view many = "");

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_PLURAL_H_
