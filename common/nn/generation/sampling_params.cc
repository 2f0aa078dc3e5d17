#include "common/nn/generation/sampling_params.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace mellow::nn {

absl::Status SamplingParams::Validate() const {
  const auto bad = [](absl::string_view field, auto value, absl::string_view expected) {
    return absl::InvalidArgumentError(absl::StrCat(field, " ", value, ": ", expected));
  };
  if (!(temperature >= kMinTemperature && temperature <= kMaxTemperature))
    return bad("temperature", temperature,
               absl::StrCat("must be in [", kMinTemperature, ", ", kMaxTemperature, "]"));
  if (top_k < 0) return bad("top_k", top_k, "must be 0 (off) or more");
  if (!(top_p > 0 && top_p <= 1)) return bad("top_p", top_p, "must be in (0, 1]");
  if (num_beams < 1 || num_beams > 64) return bad("num_beams", num_beams, "must be in [1, 64]");
  if (do_sample && num_beams > 1) return bad("num_beams", num_beams, "must be 1 with do_sample");
  if (!(std::abs(length_penalty) <= kMaxLengthPenalty))
    return bad("length_penalty", length_penalty,
               absl::StrCat("must be in [", -kMaxLengthPenalty, ", ", kMaxLengthPenalty, "]"));
  if (max_new_tokens < 1) return bad("max_new_tokens", max_new_tokens, "must be at least 1");
  if (min_new_tokens < 0 || min_new_tokens > max_new_tokens)
    return bad("min_new_tokens", min_new_tokens,
               absl::StrCat("must be in [0, max_new_tokens = ", max_new_tokens, "]"));
  return absl::OkStatus();
}

}  // namespace mellow::nn
