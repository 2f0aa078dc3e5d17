#include "services/learner/sft_records.h"

#include <nlohmann/json.hpp>

namespace mellow::learner {
namespace {

using Json = nlohmann::json;

bool Read(const Json& object, const char* key, std::string* out) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return false;
  *out = it->get<std::string>();
  return true;
}
bool Read(const Json& object, const char* key, double* out) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number()) return false;
  *out = it->get<double>();
  return true;
}
bool Read(const Json& object, const char* key, int64_t* out) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number_integer()) return false;
  *out = it->get<int64_t>();
  return true;
}
bool Read(const Json& object, const char* key, std::optional<double>* out) {
  if (!object.contains(key)) return true;
  double value = 0;
  if (!Read(object, key, &value)) return false;
  *out = value;
  return true;
}

bool ReadRecord(const Json& json, SftStepRecord* record) {
  return json.is_object() && Read(json, "step", &record->step) &&
         Read(json, "epoch", &record->epoch) && Read(json, "loss", &record->loss) &&
         Read(json, "learning_rate", &record->learning_rate) &&
         Read(json, "gradient_norm", &record->gradient_norm) &&
         Read(json, "tokens", &record->tokens) && Read(json, "seconds", &record->seconds) &&
         Read(json, "dev_loss", &record->dev_loss);
}

}  // namespace

const SftStepRecord* LowestDevLoss(const std::vector<SftStepRecord>& records) {
  const SftStepRecord* best = nullptr;
  for (const SftStepRecord& record : records) {
    if (record.dev_loss && (best == nullptr || *record.dev_loss < *best->dev_loss)) best = &record;
  }
  return best;
}

std::string AdapterFolderOf(const std::string& run_folder) { return run_folder + "/adapter"; }

std::string SerializeSftRunFile(const SftRunFile& file) {
  Json records = Json::array();
  for (const SftStepRecord& record : file.records) {
    Json json = {{"step", record.step},
                 {"epoch", record.epoch},
                 {"learning_rate", record.learning_rate},
                 {"gradient_norm", record.gradient_norm},
                 {"tokens", record.tokens},
                 {"seconds", record.seconds}};
    if (record.loss) json["loss"] = *record.loss;
    if (record.dev_loss) json["dev_loss"] = *record.dev_loss;
    records.push_back(std::move(json));
  }
  const Json json = {{"kind", "sft"},
                     {"run_id", file.run_id},
                     {"spec", file.spec_json},
                     {"data_sha256", file.data_sha256},
                     {"records", std::move(records)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<SftRunFile> ParseSftRunFile(const std::string& text) {
  const absl::Status bad =
      absl::DataLossError("run.json is not a record of supervised fine-tuning");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  SftRunFile file;
  std::string kind;
  if (!json.is_object() || !Read(json, "kind", &kind) || kind != "sft" ||
      !Read(json, "run_id", &file.run_id) || !Read(json, "spec", &file.spec_json) ||
      !Read(json, "data_sha256", &file.data_sha256) || !json.contains("records") ||
      !json["records"].is_array())
    return bad;
  for (const Json& item : json["records"]) {
    SftStepRecord& record = file.records.emplace_back();
    if (!ReadRecord(item, &record)) return bad;
  }
  return file;
}

}  // namespace mellow::learner
