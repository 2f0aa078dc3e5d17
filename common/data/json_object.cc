#include "common/data/json_object.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace mellow::data {
namespace {

using Json = nlohmann::json;
using Type = JsonField::Type;

// Stands in a text for a literal that JSON does not have.
constexpr absl::string_view kMark = "\x01mellow:";

// Keeps the fields of the outermost object; what is inside of lists and objects is only counted. No
// tree is built, so a number stays as it is written.
class FieldReader : public nlohmann::json_sax<Json> {
 public:
  explicit FieldReader(bool marked) : marked_(marked) {}

  bool null() override { return Value(Type::kNull, ""); }
  bool boolean(bool value) override { return Value(Type::kText, value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    return Value(Type::kText, absl::StrCat(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Value(Type::kText, absl::StrCat(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Value(Type::kText, text);
  }
  bool string(string_t& text) override {
    absl::string_view literal = text;
    if (marked_ && absl::ConsumePrefix(&literal, kMark))
      return Value(Type::kNotFinite, std::string(literal));
    return Value(Type::kText, std::move(text));
  }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(size_t) override { return Open(Type::kObject); }
  bool start_array(size_t) override { return Open(Type::kList); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    if (depth_ == 1) fields_.push_back({.name = std::move(name)});
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: what; last read: '...'"
    absl::string_view what = error.what();
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    if (absl::StartsWith(what, "parse error")) what.remove_prefix(what.find(": ") + 2);
    error_ = absl::StrCat(what.substr(0, what.find("; last read")), " (byte ", position, ")");
    return false;
  }

  const std::string& error() const { return error_; }

  std::vector<JsonField> TakeFields() { return std::move(fields_); }

 private:
  bool Value(Type type, std::string text) {
    if (depth_ == 0) {
      error_ = type == Type::kText ? "a value alone" : "null or NaN alone";
      return false;
    }
    if (depth_ == 1) {
      fields_.back().type = type;
      fields_.back().text = std::move(text);
    } else if (depth_ == 2) {
      ++fields_.back().elements;
    }
    return true;
  }

  bool Open(Type type) {
    if (depth_ == 0 && type == Type::kList) {
      error_ = "a list";
      return false;
    }
    if (depth_ > 0) (void)Value(type, "");
    ++depth_;
    return true;
  }

  bool Close() {
    --depth_;
    return true;
  }

  const bool marked_;
  int depth_ = 0;
  std::vector<JsonField> fields_;
  std::string error_;
};

// Marks in place of the literals; nothing when there is none.
std::optional<std::string> MarkLiterals(absl::string_view json) {
  std::string marked;
  bool found = false;
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (in_text && json[i] == '\\') {
      absl::StrAppend(&marked, json.substr(i, 2));
      ++i;
      continue;
    }
    if (json[i] == '"') in_text = !in_text;
    absl::string_view literal;
    for (const absl::string_view name : {"NaN", "Infinity", "-Infinity"}) {
      if (!in_text && json.substr(i, name.size()) == name) literal = name;
    }
    if (literal.empty()) {
      marked += json[i];
      continue;
    }
    found = true;
    absl::StrAppend(&marked, "\"\\u0001", kMark.substr(1), literal, "\"");
    i += literal.size() - 1;
  }
  if (!found) return std::nullopt;
  return marked;
}

}  // namespace

absl::StatusOr<std::vector<JsonField>> ParseJsonObject(absl::string_view json) {
  FieldReader reader(/*marked=*/false);
  if (Json::sax_parse(json.begin(), json.end(), &reader)) return reader.TakeFields();
  // Only what is no JSON may have such literals, so all the other rows are read once.
  if (const std::optional<std::string> marked = MarkLiterals(json)) {
    FieldReader again(/*marked=*/true);
    if (Json::sax_parse(*marked, &again)) return again.TakeFields();
  }
  return absl::InvalidArgumentError(absl::StrCat("not a JSON object in UTF-8: ", reader.error()));
}

}  // namespace mellow::data
