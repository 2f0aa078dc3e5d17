#include "services/cli/files/run_record.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "services/cli/files/spec_message.h"

namespace mellow::cli {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

absl::StatusOr<RunRecordFields> ReadRunRecordFields(const std::string& path,
                                                    google::protobuf::Message* spec) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto damaged = [&] {
    return absl::DataLossError(absl::StrCat(path, ": not a record of a run"));
  };
  if (!json.is_object()) return damaged();
  const auto id = json.find("request_id");
  const auto step = json.find("reported_step");
  const auto spec_json = json.find("spec");
  if (id == json.end() || !id->is_string() || step == json.end() || !step->is_number_integer() ||
      spec_json == json.end() || !SpecFromJson(spec_json->dump(), spec).ok())
    return damaged();
  return RunRecordFields{id->get<std::string>(), step->get<int>()};
}

absl::Status WriteRunRecordFields(const std::string& path, const RunRecordFields& fields,
                                  const google::protobuf::Message& spec) {
  const Json json = {{"request_id", fields.request_id},
                     {"reported_step", fields.reported_step},
                     {"spec", Json::parse(SpecToJson(spec), nullptr, false)}};
  return WriteFileAtomic(path, json.dump(2) + "\n");
}

}  // namespace mellow::cli
