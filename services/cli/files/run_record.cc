#include "services/cli/files/run_record.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "services/cli/files/spec_message.h"

namespace mellow::cli {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string RunRecordPath(const std::string& folder, const orchestrator::v1::RunSpec& spec) {
  return absl::StrCat(folder, spec.has_sft() ? "/train-sft.json" : "/train.json");
}

absl::StatusOr<RunRecord> ReadRunRecord(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto damaged = [&] {
    return absl::DataLossError(absl::StrCat(path, ": not a record of a run"));
  };
  if (!json.is_object()) return damaged();
  const auto id = json.find("request_id");
  const auto step = json.find("reported_step");
  const auto spec = json.find("spec");
  RunRecord record;
  if (id == json.end() || !id->is_string() || step == json.end() || !step->is_number_integer() ||
      spec == json.end() || !SpecFromJson(spec->dump(), &record.spec).ok())
    return damaged();
  record.request_id = id->get<std::string>();
  record.reported_step = step->get<int>();
  return record;
}

absl::Status WriteRunRecord(const std::string& path, const RunRecord& record) {
  const Json json = {{"request_id", record.request_id},
                     {"reported_step", record.reported_step},
                     {"spec", Json::parse(SpecToJson(record.spec), nullptr, false)}};
  return WriteFileAtomic(path, json.dump(2) + "\n");
}

}  // namespace mellow::cli
