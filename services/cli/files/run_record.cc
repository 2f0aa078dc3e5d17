#include "services/cli/files/run_record.h"

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/json/value.h"
#include "services/cli/files/spec_message.h"

namespace mellow::cli {

absl::StatusOr<RunRecordFields> ReadRunRecordFields(const std::string& path,
                                                    google::protobuf::Message* spec) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const json::Value object = json::Parse(text, "").value_or(json::Value());
  RunRecordFields fields;
  if (!object.Get("request_id", &fields.request_id) ||
      !object.Get("reported_step", &fields.reported_step) || !object.Has("spec") ||
      !SpecFromJson(json::Write(object["spec"]), spec).ok())
    return absl::DataLossError(absl::StrCat(path, ": not a record of a run"));
  return fields;
}

absl::Status WriteRunRecordFields(const std::string& path, const RunRecordFields& fields,
                                  const google::protobuf::Message& spec) {
  MELLOW_ASSIGN_OR_RETURN(json::Value spec_value, json::Parse(SpecToJson(spec), "spec"));
  const json::Value object = {{"request_id", fields.request_id},
                              {"reported_step", fields.reported_step},
                              {"spec", std::move(spec_value)}};
  return WriteFileAtomic(path, json::Write(object, {.indentation = 2}) + "\n");
}

}  // namespace mellow::cli
