// A run file's JSON; behind each zero byte an assignment of --set. What the CLI accepts
// must come back from its own JSON, and the orchestrator must say yes or no to it without crashing.

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "services/cli/files/run_file.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/wire/proto_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> parts = absl::StrSplit(text, '\0');
  auto spec = cli::RunSpecFromJson(parts[0]);
  if (!spec.ok()) return 0;
  for (size_t i = 1; i < parts.size(); ++i) (void)cli::SetField(parts[i], &*spec);
  (void)orchestrator::SftSpecFromProto(*spec);
  const auto config = orchestrator::RunConfigFromProto(*spec);
  const auto again = cli::RunSpecFromJson(wire::ToJson(*spec));
  // Strings that are no UTF-8 can be set, and have no JSON; the orchestrator must still not crash.
  if (again.ok() && orchestrator::RunConfigFromProto(*again).ok() != config.ok()) std::abort();
  if (config.ok() && (config->steps < 1 || config->batch_size < 1 || config->shard_prompts < 1))
    std::abort();
  return 0;
}
