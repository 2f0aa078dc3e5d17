#include "common/text/json_object.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/text/utf8.h"

namespace mellow::text {
namespace {

// Correctly rounded, as a literal is.
double PowerOfTen(int exponent) {
  double value = 0;
  return absl::SimpleAtod(absl::StrCat("1e", exponent), &value) ? value : HUGE_VAL;
}

// The value that serde_json, without its feature float_roundtrip, gives a number: as many digits as
// 64 bits hold, times or through a power of ten, each step rounded to double.
double SerdeDouble(absl::string_view text) {
  uint64_t digits = 0;
  int exponent = 0;
  bool fraction = false, full = false;
  size_t pos = text.front() == '-' ? 1 : 0;
  for (; pos < text.size() && text[pos] != 'e' && text[pos] != 'E'; ++pos) {
    if (text[pos] == '.') {
      fraction = true;
      continue;
    }
    const uint64_t digit = static_cast<uint64_t>(text[pos] - '0');
    full = full || digits > (UINT64_MAX - digit) / 10;
    if (!full) digits = digits * 10 + digit;
    exponent += full ? (fraction ? 0 : 1) : (fraction ? -1 : 0);
  }
  if (pos < text.size()) {
    int written = 0;
    const bool negative = text[++pos] == '-';
    if (negative || text[pos] == '+') ++pos;
    for (; pos < text.size() && written < 100000; ++pos) written = written * 10 + (text[pos] - '0');
    exponent += negative ? -written : written;
  }
  double value = static_cast<double>(digits);
  for (; exponent < -308 && value != 0; exponent += 308) value /= 1e308;
  if (exponent < 0) value /= PowerOfTen(-std::max(exponent, -308));
  if (exponent > 0) value *= PowerOfTen(exponent);
  return text.front() == '-' ? -value : value;
}

class Sax : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  explicit Sax(Json* json) : Base(*json, /*allow_exceptions_=*/false) {}
  bool number_float(double /*value*/, const std::string& text) {
    return Base::number_float(SerdeDouble(text), text);
  }
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view name) {
  Json json;
  Sax sax(&json);
  if (!Json::sax_parse(text.begin(), text.end(), &sax) || !json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a JSON object"));
  }
  return json;
}

std::string Excerpt(const Json& json) {
  constexpr size_t kLength = 60;
  std::string text;
  // A large value is not worth its text.
  if (json.is_structured() && json.size() > 20) {
    text = json.is_array() ? "a long array" : "a large object";
  } else {
    text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  if (text.size() > kLength) text = ReplaceInvalidUtf8(text.substr(0, kLength)) + "...";
  return text;
}

JsonObject::JsonObject(const Json& json, std::string name) : json_(json), name_(std::move(name)) {
  if (!json.is_object()) problems_.push_back(absl::StrCat("is ", Excerpt(json), ", not an object"));
}

const Json* JsonObject::Find(const char* field) {
  asked_.insert(field);
  if (!json_.is_object()) return nullptr;
  const auto it = json_.find(field);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

std::optional<bool> JsonObject::OptionalBool(const char* field) {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  Reject(field, "true or false");
  return std::nullopt;
}

std::optional<std::string> JsonObject::OptionalString(const char* field) {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  Reject(field, "a string");
  return std::nullopt;
}

std::optional<int> JsonObject::OptionalInt(const char* field, int min, int max) {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_integer() && *value >= min && *value <= max) return value->get<int>();
  Reject(field, absl::StrCat("a number from ", min, " to ", max));
  return std::nullopt;
}

void JsonObject::Ignore(std::initializer_list<const char*> fields) {
  for (const char* field : fields) asked_.insert(field);
}

void JsonObject::Reject(const char* field, absl::string_view expected) {
  const Json* value = Find(field);
  problems_.push_back(absl::StrCat(field, " is ", value == nullptr ? "absent" : Excerpt(*value),
                                   ", expected ", expected));
}

void JsonObject::ForbidOthers() {
  if (!json_.is_object()) return;
  for (const auto& [field, value] : json_.items()) {
    if (asked_.contains(field)) continue;
    problems_.push_back(absl::StrCat(Excerpt(Json(field)), " is not a field that Mellow knows"));
  }
}

absl::Status JsonObject::status() const {
  if (problems_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name_, ": ", absl::StrJoin(problems_, "; ")));
}

}  // namespace mellow::text
