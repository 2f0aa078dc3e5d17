#include "services/learner/ppo/step_records.h"

#include "absl/strings/str_cat.h"
#include "common/json/value.h"

namespace mellow::learner {
namespace {

using json::Value;

bool ReadRecord(const Value& object, PpoStepRecord* record) {
  if (!object.Get("step", &record->step) || !object.Get("version", &record->version) ||
      !object.Get("sha256", &record->sha256) ||
      !json::ReadNumber(object, "seconds", &record->seconds) || !object["stats"].is_object())
    return false;
  // TRL's statistics may be NaN: a batch of one has no standard deviation.
  for (const auto& [name, value] : object["stats"].members())
    if (!json::ReadNumber(value, &record->stats[name])) return false;
  return true;
}

Value ToJson(const PpoStepRecord& record) {
  return {{"step", record.step},
          {"version", record.version},
          {"sha256", record.sha256},
          {"seconds", record.seconds},
          {"stats", record.stats}};
}

std::string ToString(const ForkPoint& fork) {
  return absl::StrCat(fork.run_id, " at step ", fork.step, ", after step ", fork.after_step,
                      ", learning rate times ", fork.learning_rate_factor);
}

}  // namespace

absl::Status CheckSameSettings(const RunSettings& had, const RunSettings& wanted) {
  const auto differs = [&](const char* field, const std::string& a, const std::string& b) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", had.run_id, " exists with another ", field, ": ", a, ", not ", b));
  };
  if (had.config_json != wanted.config_json)
    return differs("config", had.config_json, wanted.config_json);
  if (had.start_adapter != wanted.start_adapter)
    return differs("start_adapter", had.start_adapter, wanted.start_adapter);
  if (had.start_version != wanted.start_version)
    return differs("start_version", absl::StrCat(had.start_version),
                   absl::StrCat(wanted.start_version));
  if (had.fork != wanted.fork)
    return differs("fork", had.fork ? ToString(*had.fork) : "none",
                   wanted.fork ? ToString(*wanted.fork) : "none");
  return absl::OkStatus();
}

std::string SerializeRecord(const PpoStepRecord& record) {
  return json::Write(ToJson(record), {.sorted = true});
}

absl::Status ParseRecord(const std::string& text, PpoStepRecord* record) {
  if (!ReadRecord(json::Parse(text, "").value_or(Value()), record))
    return absl::DataLossError("not a record of a step");
  return absl::OkStatus();
}

std::string SerializePpoRunFile(const PpoRunFile& file) {
  Value records = Value::MakeArray();
  for (const auto& [step, record] : file.records) records.Append(ToJson(record));
  Value object = {{"run_id", file.settings.run_id},
                  {"config", file.settings.config_json},
                  {"start_adapter", file.settings.start_adapter},
                  {"start_version", file.settings.start_version},
                  {"records", records}};
  if (file.settings.fork) {
    const ForkPoint& fork = *file.settings.fork;
    object.Add("fork", Value{{"run_id", fork.run_id},
                             {"step", fork.step},
                             {"after_step", fork.after_step},
                             {"learning_rate_factor", fork.learning_rate_factor}});
  }
  return json::Write(object, {.indentation = 1, .sorted = true});
}

absl::StatusOr<PpoRunFile> ParsePpoRunFile(const std::string& text) {
  const absl::Status bad = absl::DataLossError("run.json is not a record of a run");
  const Value object = json::Parse(text, "").value_or(Value());
  PpoRunFile file;
  if (!object.Get("run_id", &file.settings.run_id) ||
      !object.Get("config", &file.settings.config_json) ||
      !object.Get("start_adapter", &file.settings.start_adapter) ||
      !object.Get("start_version", &file.settings.start_version) || !object["records"].is_array())
    return bad;
  if (const Value* const fork = object.Find("fork"); fork != nullptr) {
    ForkPoint& read = file.settings.fork.emplace();
    if (!fork->Get("run_id", &read.run_id) || !fork->Get("step", &read.step) ||
        !fork->Get("after_step", &read.after_step) ||
        !json::ReadNumber(*fork, "learning_rate_factor", &read.learning_rate_factor))
      return bad;
  }
  for (const Value& item : object["records"].elements()) {
    PpoStepRecord record;
    if (!ReadRecord(item, &record)) return bad;
    file.records[record.step] = record;
  }
  return file;
}

}  // namespace mellow::learner
