#ifndef MELLOW_SERVICES_WIRE_TEXT_LIMIT_H_
#define MELLOW_SERVICES_WIRE_TEXT_LIMIT_H_

// How long texts may be: looked at before they are tokenized, which takes up to 36 bytes of memory
// for each of theirs.

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mellow::wire {

// Room for `count` texts of as many tokens as a model reads, as ids or as ordinary text (about five
// bytes per token either way), or for one of the longest.
[[nodiscard]] inline int64_t MessageBytesFor(int64_t count, int64_t max_tokens,
                                             int64_t max_text_bytes) {
  return std::max(count * (5 * max_tokens + 64), max_text_bytes + 4096);
}

// When --max-text-bytes does not say: more than the model reads (English has 4 or 5 bytes per
// token), by far where it reads little, so that callers may leave the cutting to us, and no less
// than a long article.
[[nodiscard]] inline int64_t DefaultMaxTextBytes(int64_t max_tokens) {
  return std::max(
      {std::min<int64_t>(128 * max_tokens, 256 << 10), 8 * max_tokens, int64_t{64 << 10}});
}

// InvalidArgument naming `field`, the size and the limit.
[[nodiscard]] inline absl::Status CheckTextBytes(absl::string_view text, int64_t max_bytes,
                                                 absl::string_view field) {
  if (static_cast<int64_t>(text.size()) <= max_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", text.size(), " bytes, at most ", max_bytes, " (--max-text-bytes)"));
}

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_TEXT_LIMIT_H_
