#ifndef MELLOW_SERVICES_CLI_FILES_RUN_DATA_H_
#define MELLOW_SERVICES_CLI_FILES_RUN_DATA_H_

// What a run will see of its data, read on this machine.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/data_spec.h"
#include "common/text/tokenizer.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"
#include "services/cli/terminal/json_lines.h"

namespace mellow::cli {

struct RunData {
  data::DataSpec spec;
  data::SelectedRows rows;
  // The run's first prompt.
  int line = 0;
  std::string prompt;
  std::optional<std::vector<int32_t>> ids;  // none: no tokenizer was given
  std::string decoded;                      // of the ids, special tokens and all
};

// `tokenizer` of the policy, or null. Errors as wire::DataFromProto, data::SelectRows and
// Tokenizer::Encode.
[[nodiscard]] absl::StatusOr<RunData> ReadRunData(const orchestrator::v1::RunSpec& spec,
                                                  const text::Tokenizer* tokenizer);

// "12,460 rows in ..., 10,022 after the filter, ...", in lines of at most `width` characters, with
// their ends.
[[nodiscard]] std::string RunRowsText(const RunData& data, int width);
// The first prompt, without its ids.
[[nodiscard]] std::string RunExampleText(const RunData& data, int width);
// Its ids.
[[nodiscard]] std::string RunIdsText(const RunData& data, int width);
[[nodiscard]] json::Value RunDataJson(const RunData& data);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_RUN_DATA_H_
