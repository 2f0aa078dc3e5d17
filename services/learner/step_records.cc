#include "services/learner/step_records.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace mellow::learner {
namespace {

using Json = nlohmann::json;

// JSON has no NaN and no infinity; TRL's statistics do (a batch of one has no standard deviation).
Json NumberToJson(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}

bool NumberFromJson(const Json& json, double* x) {
  if (json.is_number()) {
    *x = json.get<double>();
    return true;
  }
  if (json == "nan")
    *x = std::nan("");
  else if (json == "inf")
    *x = HUGE_VAL;
  else if (json == "-inf")
    *x = -HUGE_VAL;
  else
    return false;
  return true;
}

template <typename T>
bool Read(const Json& object, const char* key, T* out) {
  const auto it = object.find(key);
  if (it == object.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!it->is_string()) return false;
    *out = it->get<std::string>();
  } else if constexpr (std::is_same_v<T, double>) {
    return NumberFromJson(*it, out);
  } else {
    if (!it->is_number_integer()) return false;
    *out = it->get<T>();
  }
  return true;
}

bool ReadRecord(const Json& json, StepRecord* record) {
  if (!json.is_object() || !Read(json, "step", &record->step) ||
      !Read(json, "version", &record->version) || !Read(json, "sha256", &record->sha256) ||
      !Read(json, "seconds", &record->seconds) || !json.contains("stats") ||
      !json["stats"].is_object())
    return false;
  for (const auto& [name, value] : json["stats"].items())
    if (!NumberFromJson(value, &record->stats[name])) return false;
  return true;
}

Json RecordToJson(const StepRecord& record) {
  Json stats = Json::object();
  for (const auto& [name, value] : record.stats) stats[name] = NumberToJson(value);
  return {{"step", record.step},
          {"version", record.version},
          {"sha256", record.sha256},
          {"seconds", record.seconds},
          {"stats", std::move(stats)}};
}

}  // namespace

std::string SerializeRecord(const StepRecord& record) {
  return RecordToJson(record).dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<StepRecord> ParseRecord(const std::string& text) {
  StepRecord record;
  if (!ReadRecord(Json::parse(text, nullptr, /*allow_exceptions=*/false), &record))
    return absl::DataLossError("not a record of a step");
  return record;
}

std::string SerializeRunFile(const RunFile& file) {
  Json records = Json::array();
  for (const auto& [step, record] : file.records) records.push_back(RecordToJson(record));
  const Json json = {{"run_id", file.settings.run_id},
                     {"config", file.settings.config_json},
                     {"start_adapter", file.settings.start_adapter},
                     {"start_version", file.settings.start_version},
                     {"records", records}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<RunFile> ParseRunFile(const std::string& text) {
  const absl::Status bad = absl::DataLossError("run.json is not a record of a run");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  RunFile file;
  if (!json.is_object() || !Read(json, "run_id", &file.settings.run_id) ||
      !Read(json, "config", &file.settings.config_json) ||
      !Read(json, "start_adapter", &file.settings.start_adapter) ||
      !Read(json, "start_version", &file.settings.start_version) || !json.contains("records") ||
      !json["records"].is_array())
    return bad;
  for (const Json& item : json["records"]) {
    StepRecord record;
    if (!ReadRecord(item, &record)) return bad;
    file.records[record.step] = record;
  }
  return file;
}

}  // namespace mellow::learner
