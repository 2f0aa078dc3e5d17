#include "services/cli/train_record.h"

#include <google/protobuf/util/message_differencer.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "services/cli/run_file.h"

namespace mellow::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string PathOf(const std::string& folder) { return absl::StrCat(folder, "/train.json"); }

}  // namespace

absl::StatusOr<TrainRecord> ReadTrainRecord(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(PathOf(folder)));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto damaged = [&] {
    return absl::DataLossError(absl::StrCat(PathOf(folder), ": not a record of `mellow train`"));
  };
  if (!json.is_object()) return damaged();
  const auto id = json.find("request_id");
  const auto step = json.find("reported_step");
  const auto spec = json.find("spec");
  if (id == json.end() || !id->is_string() || step == json.end() || !step->is_number_integer() ||
      spec == json.end())
    return damaged();
  TrainRecord record = {.request_id = id->get<std::string>(), .reported_step = step->get<int>()};
  absl::StatusOr<orchestrator::v1::RunSpec> parsed = RunSpecFromJson(spec->dump());
  if (!parsed.ok()) return damaged();
  record.spec = *std::move(parsed);
  return record;
}

absl::Status WriteTrainRecord(const std::string& folder, const TrainRecord& record) {
  const Json json = {{"request_id", record.request_id},
                     {"reported_step", record.reported_step},
                     {"spec", Json::parse(RunSpecToJson(record.spec), nullptr, false)}};
  return WriteFileAtomic(PathOf(folder), json.dump(2) + "\n");
}

std::string SpecDifference(const orchestrator::v1::RunSpec& a, const orchestrator::v1::RunSpec& b) {
  std::string difference;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  differencer.Compare(a, b);
  return difference;
}

}  // namespace mellow::cli
