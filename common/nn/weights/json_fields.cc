#include "common/nn/weights/json_fields.h"

#include <cstdint>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mellow::nn {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxShownValue = 80;

// Looks at a document before its tree is built: the library would silently keep the last of two
// equal keys, and a few megabytes of brackets would cost gigabytes.
class Inspector : public nlohmann::json_sax<json> {
 public:
  const std::string& problem() const { return problem_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return Enter(); }
  bool start_array(std::size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    problem_ = absl::StrCat("the key \"", name.substr(0, kMaxShownValue), "\" is there twice");
    return false;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    problem_ = absl::StrCat("not JSON (at byte ", position, ")");
    return false;
  }

 private:
  bool Enter() {
    if (keys_.size() == kMaxDepth) {
      problem_ = absl::StrCat("nested deeper than ", kMaxDepth);
      return false;
    }
    keys_.emplace_back();
    return true;
  }
  bool Leave() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;
  std::string problem_;
};

std::string Show(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kMaxShownValue) text = absl::StrCat(text.substr(0, kMaxShownValue), "...");
  return text;
}

}  // namespace

absl::StatusOr<json> ParseJsonObject(absl::string_view text, absl::string_view name) {
  Inspector inspector;
  if (!json::sax_parse(text.begin(), text.end(), &inspector))
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", inspector.problem()));
  json parsed = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object())
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a JSON object"));
  return parsed;
}

const json* JsonFields::Find(const char* field) const {
  known_.insert(field);
  const auto found = object_.find(field);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::Harmless(std::initializer_list<const char*> fields) {
  known_.insert(fields.begin(), fields.end());
}

void JsonFields::Only(const char* field, const json& value) {
  const json* found = Find(field);
  if (found != nullptr && *found != value) Reject(field, Show(value));
}

std::vector<std::string> JsonFields::Unknown() const {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : object_.items()) {
    if (!value.is_null() && known_.count(key) == 0)
      unknown.push_back(absl::StrCat("key ", Show(key), " (", Show(value), ") is not known"));
  }
  return unknown;
}

void JsonFields::Reject(const char* field, absl::string_view expected) {
  const auto found = object_.find(field);
  const std::string value = found == object_.end() ? "absent" : Show(*found);
  problems_.push_back(absl::StrCat(field, " is ", value, ", expected ", expected));
}

void JsonFields::Int(const char* field, int min, int max, int* value) {
  const json* found = Find(field);
  if (found == nullptr) return;
  // An unsigned number above int64 wraps to a negative one in get<int64_t>(), hence the two cases.
  const bool fits = found->is_number_unsigned()
                        ? max >= 0 && found->get<uint64_t>() <= static_cast<uint64_t>(max) &&
                              (min <= 0 || found->get<uint64_t>() >= static_cast<uint64_t>(min))
                        : found->is_number_integer() && found->get<int64_t>() >= min &&
                              found->get<int64_t>() <= max;
  if (!fits) return Reject(field, absl::StrCat("an integer from ", min, " to ", max));
  *value = found->get<int>();
}

void JsonFields::Number(const char* field, double min, double max, double* value) {
  const json* found = Find(field);
  if (found == nullptr) return;
  if (!found->is_number() || !(found->get<double>() >= min && found->get<double>() <= max))
    return Reject(field, absl::StrCat("a number from ", min, " to ", max));
  *value = found->get<double>();
}

void JsonFields::Bool(const char* field, bool* value) {
  const json* found = Find(field);
  if (found == nullptr) return;
  if (!found->is_boolean()) return Reject(field, "true or false");
  *value = found->get<bool>();
}

void JsonFields::String(const char* field, std::string* value) {
  const json* found = Find(field);
  if (found == nullptr) return;
  if (!found->is_string()) return Reject(field, "a string");
  *value = found->get_ref<const std::string&>();
}

absl::Status JsonFields::Finish(absl::string_view name) const {
  if (problems_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", absl::StrJoin(problems_, "; ")));
}

}  // namespace mellow::nn
