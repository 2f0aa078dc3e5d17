#ifndef MELLOW_SERVICES_CLI_FILES_SFT_FILE_H_
#define MELLOW_SERVICES_CLI_FILES_SFT_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mellow/learner/v1/sft_spec.pb.h"

namespace mellow::cli {

// Run files of supervised fine-tuning: SftSpec messages in proto JSON. As LoadRunFile.
[[nodiscard]] absl::StatusOr<learner::v1::SftSpec> LoadSftFile(
    const std::string& path, const std::vector<std::string>& overrides);

// A new run's id, a folder's name too: the spec's name, as far as it may be one, and eight random
// hexadecimal digits.
[[nodiscard]] std::string NewSftRunId(const learner::v1::SftSpec& spec);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_SFT_FILE_H_
