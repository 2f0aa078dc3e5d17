#include "services/learner/sft/sft_records.h"

namespace mellow::learner {
namespace {

using json::Value;

bool Read(const Value& object, const char* key, double* out) {
  return json::ReadNumber(object, key, out);
}
bool Read(const Value& object, const char* key, std::optional<double>* out) {
  return !object.Has(key) || Read(object, key, &out->emplace());
}

bool ReadRecord(const Value& object, SftStepRecord* record) {
  return object.Get("step", &record->step) && Read(object, "epoch", &record->epoch) &&
         Read(object, "loss", &record->loss) &&
         Read(object, "learning_rate", &record->learning_rate) &&
         Read(object, "gradient_norm", &record->gradient_norm) &&
         object.Get("tokens", &record->tokens) && Read(object, "seconds", &record->seconds) &&
         Read(object, "dev_loss", &record->dev_loss);
}

Value ToJson(const SftStepRecord& record) {
  Value object = {{"step", record.step},
                  {"epoch", record.epoch},
                  {"learning_rate", record.learning_rate},
                  {"gradient_norm", record.gradient_norm},
                  {"tokens", record.tokens},
                  {"seconds", record.seconds}};
  if (record.loss) object.Add("loss", *record.loss);
  if (record.dev_loss) object.Add("dev_loss", *record.dev_loss);
  return object;
}

}  // namespace

std::string SerializeRecord(const SftStepRecord& record) {
  return json::Write(ToJson(record), {.sorted = true});
}

absl::Status ParseRecord(const std::string& text, SftStepRecord* record) {
  if (!ReadRecord(json::Parse(text, "").value_or(Value()), record))
    return absl::DataLossError("not a record of a step");
  return absl::OkStatus();
}

const SftStepRecord* LowestDevLoss(const std::vector<SftStepRecord>& records) {
  const SftStepRecord* best = nullptr;
  for (const SftStepRecord& record : records) {
    if (record.dev_loss && (best == nullptr || *record.dev_loss < *best->dev_loss)) best = &record;
  }
  return best;
}

std::string AdapterFolderOf(const std::string& run_folder) { return run_folder + "/adapter"; }

Value ValueOf(const SftRunFile& file) {
  Value records = Value::MakeArray();
  for (const SftStepRecord& record : file.records) records.Append(ToJson(record));
  return {{"kind", "sft"},
          {"run_id", file.run_id},
          {"spec", file.spec_json},
          {"data_sha256", file.data_sha256},
          {"records", std::move(records)}};
}

std::string SerializeSftRunFile(const SftRunFile& file) {
  return json::Write(ValueOf(file), {.indentation = 1, .sorted = true});
}

absl::StatusOr<SftRunFile> SftRunFileOf(const Value& object) {
  const absl::Status bad =
      absl::DataLossError("run.json is not a record of supervised fine-tuning");
  SftRunFile file;
  if (object["kind"] != "sft" || !object.Get("run_id", &file.run_id) ||
      !object.Get("spec", &file.spec_json) || !object.Get("data_sha256", &file.data_sha256) ||
      !object["records"].is_array())
    return bad;
  for (const Value& item : object["records"].elements()) {
    SftStepRecord& record = file.records.emplace_back();
    if (!ReadRecord(item, &record)) return bad;
  }
  return file;
}

absl::StatusOr<SftRunFile> ParseSftRunFile(const std::string& text) {
  return SftRunFileOf(json::Parse(text, "").value_or(Value()));
}

}  // namespace mellow::learner
