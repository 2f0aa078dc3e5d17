#include "services/orchestrator/ledger/ledger_codec.h"

#include <bit>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace mellow::orchestrator {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "columns are little-endian words");

template <typename T>
std::string Pack(absl::Span<const T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <typename T>
absl::StatusOr<std::vector<T>> Unpack(absl::string_view bytes) {
  if (bytes.size() % sizeof(T) != 0) {
    return absl::DataLossError(absl::StrCat("ledger: a number list of ", bytes.size(), " bytes"));
  }
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// As text with all digits: JSON has no NaN.
json NumberMap(const std::map<std::string, double>& values) {
  json object = json::object();
  for (const auto& [name, value] : values) object[name] = absl::StrFormat("%.17g", value);
  return object;
}

absl::Status BadRecord(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("ledger: bad record: ", what));
}

absl::Status ReadNumber(const json& object, const char* name, double* value) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string() ||
      !absl::SimpleAtod(it->get_ref<const std::string&>(), value)) {
    return BadRecord(name);
  }
  return absl::OkStatus();
}

absl::Status ReadNumberMap(const json& object, const char* name,
                           std::map<std::string, double>* values) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_object()) return BadRecord(name);
  for (const auto& [key, value] : it->items()) {
    double number = 0;
    if (!value.is_string() || !absl::SimpleAtod(value.get_ref<const std::string&>(), &number)) {
      return BadRecord(key);
    }
    (*values)[key] = number;
  }
  return absl::OkStatus();
}

absl::Status ReadText(const json& object, const char* name, std::string* value) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) return BadRecord(name);
  *value = it->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadBool(const json& object, const char* name, bool* value) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_boolean()) return BadRecord(name);
  *value = it->get<bool>();
  return absl::OkStatus();
}

std::string Dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Hex, because JSON strings are UTF-8.
std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

absl::StatusOr<std::string> ReadHex(const json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) return BadRecord(name);
  const std::string& text = it->get_ref<const std::string&>();
  if (text.size() % 2 != 0 || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return BadRecord(name);
  }
  return absl::HexStringToBytes(text);
}

}  // namespace

std::string PackInts(absl::Span<const int32_t> values) { return Pack<int32_t>(values); }
std::string PackFloats(absl::Span<const float> values) { return Pack<float>(values); }

absl::StatusOr<std::vector<int32_t>> UnpackInts(absl::string_view bytes) {
  return Unpack<int32_t>(bytes);
}
absl::StatusOr<std::vector<float>> UnpackFloats(absl::string_view bytes) {
  return Unpack<float>(bytes);
}

std::string EncodeStep(const StepRecord& step) {
  json object = {{"numbers", NumberMap({{"score_mean", step.score_mean},
                                        {"toxicity_mean", step.toxicity_mean},
                                        {"seconds", step.seconds},
                                        {"response_tokens_mean", step.response_tokens_mean},
                                        {"tokens_per_second", step.tokens_per_second},
                                        {"staleness", step.staleness}})},
                 {"adapter_path", step.adapter_path},
                 {"stats", NumberMap(step.stats)},
                 {"phase_seconds", NumberMap(step.phase_seconds)}};
  if (!step.sft.empty()) object["sft"] = Hex(step.sft);
  return Dump(object);
}

absl::Status DecodeStep(const std::string& text, StepRecord* step) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return BadRecord("step");
  const auto numbers = object.find("numbers");
  if (numbers == object.end() || !numbers->is_object()) return BadRecord("numbers");
  MELLOW_RETURN_IF_ERROR(ReadNumber(*numbers, "score_mean", &step->score_mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(*numbers, "toxicity_mean", &step->toxicity_mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(*numbers, "seconds", &step->seconds));
  MELLOW_RETURN_IF_ERROR(ReadNumber(*numbers, "response_tokens_mean", &step->response_tokens_mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(*numbers, "tokens_per_second", &step->tokens_per_second));
  MELLOW_RETURN_IF_ERROR(ReadNumber(*numbers, "staleness", &step->staleness));
  MELLOW_RETURN_IF_ERROR(ReadText(object, "adapter_path", &step->adapter_path));
  MELLOW_RETURN_IF_ERROR(ReadNumberMap(object, "stats", &step->stats));
  if (object.contains("sft")) {
    MELLOW_ASSIGN_OR_RETURN(step->sft, ReadHex(object, "sft"));
  }
  return ReadNumberMap(object, "phase_seconds", &step->phase_seconds);
}

std::string EncodeCanary(const CanarySuite& suite) {
  json pairs = json::array();
  for (size_t i = 0; i < suite.pairs.size() && i < suite.expected.size(); ++i) {
    pairs.push_back({{"source", Hex(PackInts(suite.pairs[i].source_ids))},
                     {"target", Hex(PackInts(suite.pairs[i].target_ids))},
                     {"expected", Hex(PackFloats(suite.expected[i]))}});
  }
  return json({{"bound", absl::StrFormat("%.17g", suite.bound)}, {"pairs", pairs}}).dump();
}

absl::StatusOr<CanarySuite> DecodeCanary(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return BadRecord("canary");
  CanarySuite suite;
  MELLOW_RETURN_IF_ERROR(ReadNumber(object, "bound", &suite.bound));
  const auto pairs = object.find("pairs");
  if (pairs == object.end() || !pairs->is_array()) return BadRecord("pairs");
  for (const json& pair : *pairs) {
    if (!pair.is_object()) return BadRecord("pair");
    MELLOW_ASSIGN_OR_RETURN(const std::string source, ReadHex(pair, "source"));
    MELLOW_ASSIGN_OR_RETURN(const std::string target, ReadHex(pair, "target"));
    MELLOW_ASSIGN_OR_RETURN(const std::string expected, ReadHex(pair, "expected"));
    TokenPair tokens;
    MELLOW_ASSIGN_OR_RETURN(tokens.source_ids, UnpackInts(source));
    MELLOW_ASSIGN_OR_RETURN(tokens.target_ids, UnpackInts(target));
    MELLOW_ASSIGN_OR_RETURN(std::vector<float> values, UnpackFloats(expected));
    suite.pairs.push_back(std::move(tokens));
    suite.expected.push_back(std::move(values));
  }
  return suite;
}

std::string EncodePins(const RunPins& pins) {
  json models = json::array();
  for (const auto& [role, pin] : pins.models) {
    models.push_back(
        {{"role", static_cast<int>(role)}, {"sha256", pin.sha256}, {"precision", pin.precision}});
  }
  json logits = json::array();
  for (const std::vector<float>& row : pins.reward_logits) logits.push_back(Hex(PackFloats(row)));
  return Dump(
      {{"models", models}, {"reward_labels", pins.reward_labels}, {"reward_logits", logits}});
}

absl::StatusOr<RunPins> DecodePins(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return BadRecord("pins");
  const auto list = [&object](const char* name) -> absl::StatusOr<const json*> {
    const auto it = object.find(name);
    if (it == object.end() || !it->is_array()) return BadRecord(name);
    return &*it;
  };
  RunPins pins;
  MELLOW_ASSIGN_OR_RETURN(const json* models, list("models"));
  for (const json& model : *models) {
    const auto role = model.is_object() ? model.find("role") : model.end();
    if (role == model.end() || !role->is_number_integer()) return BadRecord("role");
    ModelPin& pin = pins.models[static_cast<NodeRole>(role->get<int>())];
    MELLOW_RETURN_IF_ERROR(ReadText(model, "sha256", &pin.sha256));
    MELLOW_RETURN_IF_ERROR(ReadText(model, "precision", &pin.precision));
  }
  MELLOW_ASSIGN_OR_RETURN(const json* labels, list("reward_labels"));
  for (const json& label : *labels) {
    if (!label.is_string()) return BadRecord("reward_labels");
    pins.reward_labels.push_back(label.get<std::string>());
  }
  MELLOW_ASSIGN_OR_RETURN(const json* logits, list("reward_logits"));
  for (const json& row : *logits) {
    MELLOW_ASSIGN_OR_RETURN(const std::string bytes, ReadHex({{"row", row}}, "row"));
    MELLOW_ASSIGN_OR_RETURN(std::vector<float> values, UnpackFloats(bytes));
    pins.reward_logits.push_back(std::move(values));
  }
  return pins;
}

std::string EncodeEvidence(const PromotionEvidence& evidence) {
  json gates = json::array();
  for (const PromotionGate& gate : evidence.gates)
    gates.push_back({{"name", gate.name}, {"passed", gate.passed}, {"detail", gate.detail}});
  return Dump({{"evaluation_name", evidence.evaluation_name},
               {"evaluation_sha256", evidence.evaluation_sha256},
               {"gates", gates},
               {"forced", evidence.forced},
               {"reason", evidence.reason}});
}

absl::StatusOr<PromotionEvidence> DecodeEvidence(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return BadRecord("evidence");
  PromotionEvidence evidence;
  MELLOW_RETURN_IF_ERROR(ReadText(object, "evaluation_name", &evidence.evaluation_name));
  MELLOW_RETURN_IF_ERROR(ReadText(object, "evaluation_sha256", &evidence.evaluation_sha256));
  MELLOW_RETURN_IF_ERROR(ReadBool(object, "forced", &evidence.forced));
  MELLOW_RETURN_IF_ERROR(ReadText(object, "reason", &evidence.reason));
  const auto gates = object.find("gates");
  if (gates == object.end() || !gates->is_array()) return BadRecord("gates");
  for (const json& gate : *gates) {
    if (!gate.is_object()) return BadRecord("gate");
    PromotionGate& added = evidence.gates.emplace_back();
    MELLOW_RETURN_IF_ERROR(ReadText(gate, "name", &added.name));
    MELLOW_RETURN_IF_ERROR(ReadBool(gate, "passed", &added.passed));
    MELLOW_RETURN_IF_ERROR(ReadText(gate, "detail", &added.detail));
  }
  return evidence;
}

}  // namespace mellow::orchestrator
