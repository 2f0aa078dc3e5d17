#include "services/cli/files/started_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "services/cli/files/spec_message.h"
#include "services/wire/proto_json.h"

namespace mellow::cli {

std::string StartedRunPath(const std::string& folder, const orchestrator::v1::RunSpec& spec) {
  return absl::StrCat(folder, spec.has_sft() ? "/train-sft.json" : "/train.json");
}

absl::StatusOr<StartedRun> ReadStartedRun(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const json::Value object = json::Parse(text, "").value_or(json::Value());
  StartedRun record;
  if (!object.Get("request_id", &record.request_id) ||
      !object.Get("reported_step", &record.reported_step) || !object.Has("spec") ||
      !SpecFromJson(json::Write(object["spec"]), &record.spec).ok())
    return absl::DataLossError(absl::StrCat(path, ": not a record of a run"));
  return record;
}

absl::Status WriteStartedRun(const std::string& path, const StartedRun& record) {
  MELLOW_ASSIGN_OR_RETURN(json::Value spec, json::Parse(wire::ToJson(record.spec), "spec"));
  const json::Value object = {{"request_id", record.request_id},
                              {"reported_step", record.reported_step},
                              {"spec", std::move(spec)}};
  return WriteFileAtomic(path, json::Write(object, {.indentation = 2}) + "\n");
}

}  // namespace mellow::cli
