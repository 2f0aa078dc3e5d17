#ifndef MELLOW_COMMON_NN_GENERATION_CONFIG_H_
#define MELLOW_COMMON_NN_GENERATION_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/json/value.h"
#include "common/nn/sampling_params.h"

namespace mellow::nn {

// What a model folder says about generation.
struct GenerationConfig {
  std::vector<int32_t> eos_token_ids;  // any of them ends a sequence; none: nothing does
  std::optional<int32_t> decoder_start_token_id;
  std::optional<int32_t> pad_token_id;
  // Where a request says nothing; without lengths.
  SamplingParams sampling;
  std::optional<int> max_new_tokens;
  std::optional<int> min_new_tokens;
  std::vector<std::string> warnings;

  // `sampling` with lengths: max_new_tokens as the folder says, else `default_length`, and at most
  // `longest`.
  [[nodiscard]] SamplingParams Defaults(int default_length, int longest) const;
};

struct NamedText {
  absl::string_view text;
  absl::string_view name;  // stands for the file in errors
};

// By the rules of transformers 4.45: `file`, generation_config.json, says everything where there is
// one, and config.json (`model`, named `model_name`) nothing; without one the fields of the same
// names in config.json count, and so they do when the file says "_from_model_config" and
// config.json has such fields other than the defaults. max_length and min_length count the
// decoder's start token. InvalidArgument naming every field that is wrong, or that changes what is
// generated and is not implemented; a field that nobody knows is a warning.
[[nodiscard]] absl::StatusOr<GenerationConfig> ParseGenerationConfig(
    const json::Value& model, absl::string_view model_name, const std::optional<NamedText>& file,
    int vocab_size);

// A request in JSON, names as GenerationConfig's: what it has no field for, or null, is as in
// `defaults`; forced_bos_token_id and forced_eos_token_id may be -1, none. Fields with other names
// are left alone. InvalidArgument naming field and value.
[[nodiscard]] absl::StatusOr<SamplingParams> ReadSampling(const json::Value& request,
                                                          const SamplingParams& defaults,
                                                          int vocab_size);
// The fields of generation that older versions of transformers wrote into every config.json, with
// the values that say nothing (beside null).
[[nodiscard]] const json::Value& LegacyGenerationDefaults();
// The names of the fields that ReadSampling reads.
[[nodiscard]] const std::vector<std::string>& SamplingFieldNames();
// Whether it is a field of GenerationConfig that is not implemented and changes what is generated.
[[nodiscard]] bool IsUnsupportedGenerationField(absl::string_view name);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_GENERATION_CONFIG_H_
