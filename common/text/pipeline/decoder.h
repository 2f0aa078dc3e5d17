#ifndef MELLOW_COMMON_TEXT_PIPELINE_DECODER_H_
#define MELLOW_COMMON_TEXT_PIPELINE_DECODER_H_

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::text {

// `replacement` becomes a space, and nothing in the first token where `drop_first`.
struct MetaspaceDecoder {
  std::string replacement = "\u2581";
  bool drop_first = true;
};
// Characters of byte_level.h become bytes.
struct ByteLevelDecoder {};
// Tokens such as <0x41> become bytes.
struct ByteFallbackDecoder {};
// The tokens become one.
struct FuseDecoder {};

// How a tokenizer makes text of tokens again: steps, one after the other; without any, the tokens
// stand side by side with spaces between them. Immutable once built, thread-safe.
class Decoder {
 public:
  using Step = std::variant<MetaspaceDecoder, ByteLevelDecoder, ByteFallbackDecoder, FuseDecoder>;

  template <typename StepKind>
  void Append(StepKind step) {
    steps_.emplace_back(std::in_place_type<StepKind>, std::move(step));
  }
  // The result is UTF-8: bytes that are not become U+FFFD.
  [[nodiscard]] std::string Decode(const std::vector<absl::string_view>& tokens) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_DECODER_H_
