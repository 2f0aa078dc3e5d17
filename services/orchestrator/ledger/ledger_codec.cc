#include "services/orchestrator/ledger/ledger_codec.h"

#include <bit>
#include <cstring>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/json/value.h"

namespace mellow::orchestrator {
namespace {

using json::Value;

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

// Of a time in milliseconds: 2^53, below which a double has every whole number.
constexpr double kMostMilliseconds = 9007199254740992;

// As text with all digits.
Value NumberMap(const std::map<std::string, double>& values) {
  Value object = Value::MakeObject();
  for (const auto& [name, value] : values) object.Add(name, absl::StrFormat("%.17g", value));
  return object;
}

absl::Status BadRecord(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("ledger: bad record: ", what));
}

absl::StatusOr<Value> ReadObject(const std::string& text, const char* what) {
  absl::StatusOr<Value> object = json::ParseObject(text, "");
  if (!object.ok()) return BadRecord(what);
  return object;
}

template <typename T>
absl::Status Read(const Value& object, const char* name, T* value) {
  return object.Get(name, value) ? absl::OkStatus() : BadRecord(name);
}

absl::Status ReadNumber(const Value& object, const char* name, double* value) {
  if (!absl::SimpleAtod(object[name].string(), value)) return BadRecord(name);
  return absl::OkStatus();
}

absl::Status ReadNumberMap(const Value& object, const char* name,
                           std::map<std::string, double>* values) {
  if (!object[name].is_object()) return BadRecord(name);
  for (const auto& [key, value] : object[name].members()) {
    double number = 0;
    if (!absl::SimpleAtod(value.string(), &number)) return BadRecord(key);
    (*values)[key] = number;
  }
  return absl::OkStatus();
}

absl::StatusOr<const json::Array*> ReadList(const Value& object, const char* name) {
  if (!object[name].is_array()) return BadRecord(name);
  return &object[name].elements();
}

std::string Dump(const Value& object) { return json::Write(object, {.sorted = true}); }

// Hex, because JSON strings are UTF-8.
std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

absl::StatusOr<std::string> FromHex(const Value& value, const char* name) {
  const std::string& text = value.string();
  if (!value.is_string() || text.size() % 2 != 0 ||
      text.find_first_not_of("0123456789abcdef") != std::string::npos)
    return BadRecord(name);
  return absl::HexStringToBytes(text);
}

absl::StatusOr<std::string> ReadHex(const Value& object, const char* name) {
  return FromHex(object[name], name);
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
  std::map<std::string, double> numbers = {{"score_mean", step.score_mean},
                                           {"score_sd", step.score_sd},
                                           {"repetition_mean", step.repetition_mean},
                                           {"toxicity_mean", step.toxicity_mean},
                                           {"seconds", step.seconds},
                                           {"response_tokens_mean", step.response_tokens_mean},
                                           {"tokens_per_second", step.tokens_per_second},
                                           {"staleness", step.staleness}};
  if (step.committed_ms > 0) numbers["committed_ms"] = static_cast<double>(step.committed_ms);
  if (step.judge) {
    numbers["judge_score_mean"] = step.judge->score_mean;
    numbers["judge_score_sd"] = step.judge->score_sd;
    numbers["judge_gap"] = step.judge->gap;
  }
  Value object = {{"numbers", NumberMap(numbers)},
                  {"adapter_path", step.adapter_path},
                  {"stats", NumberMap(step.stats)},
                  {"phase_seconds", NumberMap(step.phase_seconds)}};
  if (!step.sft.empty()) object.Add("sft", Hex(step.sft));
  return Dump(object);
}

absl::Status DecodeStep(const std::string& text, StepRecord* step) {
  MELLOW_ASSIGN_OR_RETURN(const Value object, ReadObject(text, "step"));
  const Value& numbers = object["numbers"];
  if (!numbers.is_object()) return BadRecord("numbers");
  MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "score_mean", &step->score_mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "toxicity_mean", &step->toxicity_mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "seconds", &step->seconds));
  MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "response_tokens_mean", &step->response_tokens_mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "tokens_per_second", &step->tokens_per_second));
  MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "staleness", &step->staleness));
  // Records of earlier versions have neither.
  if (numbers.Has("score_sd")) {
    MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "score_sd", &step->score_sd));
    MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "repetition_mean", &step->repetition_mean));
  }
  if (numbers.Has("committed_ms")) {
    double committed_ms = 0;
    MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "committed_ms", &committed_ms));
    if (!(committed_ms >= 0 && committed_ms < kMostMilliseconds)) return BadRecord("committed_ms");
    step->committed_ms = static_cast<int64_t>(committed_ms);
  }
  if (numbers.Has("judge_gap")) {
    step->judge.emplace();
    MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "judge_score_mean", &step->judge->score_mean));
    MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "judge_score_sd", &step->judge->score_sd));
    MELLOW_RETURN_IF_ERROR(ReadNumber(numbers, "judge_gap", &step->judge->gap));
  }
  MELLOW_RETURN_IF_ERROR(Read(object, "adapter_path", &step->adapter_path));
  MELLOW_RETURN_IF_ERROR(ReadNumberMap(object, "stats", &step->stats));
  if (object.Has("sft")) {
    MELLOW_ASSIGN_OR_RETURN(step->sft, ReadHex(object, "sft"));
  }
  return ReadNumberMap(object, "phase_seconds", &step->phase_seconds);
}

std::string EncodeFinding(const GuardTrip& trip) {
  return Dump({{"check", trip.check},
               {"numbers", NumberMap({{"value", trip.value}, {"bound", trip.bound}})},
               {"reason", trip.reason}});
}

absl::Status DecodeFinding(const std::string& text, GuardTrip* trip) {
  MELLOW_ASSIGN_OR_RETURN(const Value object, ReadObject(text, "guard trip"));
  MELLOW_RETURN_IF_ERROR(Read(object, "check", &trip->check));
  MELLOW_RETURN_IF_ERROR(Read(object, "reason", &trip->reason));
  MELLOW_RETURN_IF_ERROR(ReadNumber(object["numbers"], "value", &trip->value));
  return ReadNumber(object["numbers"], "bound", &trip->bound);
}

std::string EncodeCanary(const CanarySuite& suite) {
  Value pairs = Value::MakeArray();
  for (size_t i = 0; i < suite.pairs.size() && i < suite.expected.size(); ++i) {
    pairs.Append({{"source", Hex(PackInts(suite.pairs[i].source_ids))},
                  {"target", Hex(PackInts(suite.pairs[i].target_ids))},
                  {"expected", Hex(PackFloats(suite.expected[i]))}});
  }
  return Dump({{"bound", absl::StrFormat("%.17g", suite.bound)}, {"pairs", pairs}});
}

absl::StatusOr<CanarySuite> DecodeCanary(const std::string& text) {
  MELLOW_ASSIGN_OR_RETURN(const Value object, ReadObject(text, "canary"));
  CanarySuite suite;
  MELLOW_RETURN_IF_ERROR(ReadNumber(object, "bound", &suite.bound));
  MELLOW_ASSIGN_OR_RETURN(const json::Array* pairs, ReadList(object, "pairs"));
  for (const Value& pair : *pairs) {
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
  Value models = Value::MakeArray();
  for (const auto& [role, pin] : pins.models) {
    models.Append(
        {{"role", static_cast<int>(role)}, {"sha256", pin.sha256}, {"precision", pin.precision}});
  }
  Value object = {{"models", models}};
  for (const auto& [role, canary] : pins.canaries) {
    Value logits = Value::MakeArray();
    for (const std::vector<float>& row : canary.logits) logits.Append(Hex(PackFloats(row)));
    object.Add(absl::StrCat(ToString(role), "_labels"), canary.labels);
    object.Add(absl::StrCat(ToString(role), "_logits"), logits);
  }
  if (!pins.toxic_label.empty()) object.Add("toxic_label", pins.toxic_label);
  for (const auto& [role, classes] : pins.devices)
    object.Add(absl::StrCat(ToString(role), "_devices"),
               std::vector<std::string>(classes.begin(), classes.end()));
  return Dump(object);
}

absl::StatusOr<RunPins> DecodePins(const std::string& text) {
  MELLOW_ASSIGN_OR_RETURN(const Value object, ReadObject(text, "pins"));
  RunPins pins;
  MELLOW_ASSIGN_OR_RETURN(const json::Array* models, ReadList(object, "models"));
  for (const Value& model : *models) {
    int role = 0;
    MELLOW_RETURN_IF_ERROR(Read(model, "role", &role));
    ModelPin& pin = pins.models[static_cast<NodeRole>(role)];
    MELLOW_RETURN_IF_ERROR(Read(model, "sha256", &pin.sha256));
    MELLOW_RETURN_IF_ERROR(Read(model, "precision", &pin.precision));
  }
  for (const NodeRole role : {NodeRole::kReward, NodeRole::kJudge}) {
    const std::string labels = absl::StrCat(ToString(role), "_labels");
    if (!object.Has(labels)) continue;
    ScoreCanary canary;
    MELLOW_RETURN_IF_ERROR(Read(object, labels.c_str(), &canary.labels));
    const std::string of_logits = absl::StrCat(ToString(role), "_logits");
    MELLOW_ASSIGN_OR_RETURN(const json::Array* logits, ReadList(object, of_logits.c_str()));
    for (const Value& row : *logits) {
      MELLOW_ASSIGN_OR_RETURN(const std::string bytes, FromHex(row, "row"));
      MELLOW_ASSIGN_OR_RETURN(std::vector<float> values, UnpackFloats(bytes));
      canary.logits.push_back(std::move(values));
    }
    // An earlier version wrote empty lists where nobody had been asked.
    if (!canary.labels.empty()) pins.canaries[role] = std::move(canary);
  }
  if (object.Has("toxic_label"))
    MELLOW_RETURN_IF_ERROR(Read(object, "toxic_label", &pins.toxic_label));
  for (const NodeRole role : {NodeRole::kPolicy, NodeRole::kReward}) {
    const std::string name = absl::StrCat(ToString(role), "_devices");
    if (!object.Has(name)) continue;
    std::vector<std::string> classes;
    MELLOW_RETURN_IF_ERROR(Read(object, name.c_str(), &classes));
    pins.devices[role] = {classes.begin(), classes.end()};
  }
  return pins;
}

std::string EncodeEvidence(const PromotionEvidence& evidence) {
  Value gates = Value::MakeArray();
  for (const PromotionGate& gate : evidence.gates)
    gates.Append({{"name", gate.name}, {"passed", gate.passed}, {"detail", gate.detail}});
  return Dump({{"evaluation_name", evidence.evaluation_name},
               {"evaluation_sha256", evidence.evaluation_sha256},
               {"gates", gates},
               {"forced", evidence.forced},
               {"reason", evidence.reason}});
}

absl::StatusOr<PromotionEvidence> DecodeEvidence(const std::string& text) {
  MELLOW_ASSIGN_OR_RETURN(const Value object, ReadObject(text, "evidence"));
  PromotionEvidence evidence;
  MELLOW_RETURN_IF_ERROR(Read(object, "evaluation_name", &evidence.evaluation_name));
  MELLOW_RETURN_IF_ERROR(Read(object, "evaluation_sha256", &evidence.evaluation_sha256));
  MELLOW_RETURN_IF_ERROR(Read(object, "forced", &evidence.forced));
  MELLOW_RETURN_IF_ERROR(Read(object, "reason", &evidence.reason));
  MELLOW_ASSIGN_OR_RETURN(const json::Array* gates, ReadList(object, "gates"));
  for (const Value& gate : *gates) {
    PromotionGate& added = evidence.gates.emplace_back();
    MELLOW_RETURN_IF_ERROR(Read(gate, "name", &added.name));
    MELLOW_RETURN_IF_ERROR(Read(gate, "passed", &added.passed));
    MELLOW_RETURN_IF_ERROR(Read(gate, "detail", &added.detail));
  }
  return evidence;
}

}  // namespace mellow::orchestrator
