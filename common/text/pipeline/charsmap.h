#ifndef MELLOW_COMMON_TEXT_PIPELINE_CHARSMAP_H_
#define MELLOW_COMMON_TEXT_PIPELINE_CHARSMAP_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::text {

// The compiled character map of a SentencePiece model: the tokenizers' "Precompiled" normalizer.
// Immutable, thread-safe.
class Charsmap {
 public:
  // Maps nothing.
  Charsmap() = default;
  // The blob of NormalizerSpec.precompiled_charsmap; empty: maps nothing. InvalidArgument: not such
  // a blob.
  [[nodiscard]] static absl::StatusOr<Charsmap> Parse(absl::string_view blob);

  // `text` is UTF-8, and so is the result. As the fast tokenizers do it and not as sentencepiece
  // does (longest match): a grapheme cluster of at most 5 bytes is replaced as a whole by the image
  // of its shortest mapped prefix, so that a combining mark behind a mapped character vanishes; a
  // longer cluster is mapped character by character.
  [[nodiscard]] std::string Normalize(absl::string_view text) const;

 private:
  // The image of the shortest key that is a prefix of `text`.
  std::optional<absl::string_view> ImageOfPrefix(absl::string_view text) const;

  std::vector<uint32_t> units_;  // a double array of Darts: key -> offset in images_
  std::string images_;           // each ends with a NUL
  std::array<std::optional<std::string>, 128> ascii_;
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_CHARSMAP_H_
