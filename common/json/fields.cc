#include "common/json/fields.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/nearest_name.h"

namespace mellow::json {

FieldReader::FieldReader(const Value& object, absl::string_view name)
    : object_(object), name_(name) {
  if (!object.is_object())
    problems_.push_back(absl::StrCat("is ", Excerpt(object), ", not an object"));
}

const Value* FieldReader::Find(const char* field) const {
  known_.insert(field);
  const Value* found = object_.Find(field);
  return found == nullptr || found->is_null() ? nullptr : found;
}

void FieldReader::Harmless(std::initializer_list<const char*> fields) {
  known_.insert(fields.begin(), fields.end());
}

void FieldReader::Only(const char* field, const Value& value) {
  const Value* found = Find(field);
  if (found != nullptr && *found != value) Reject(field, Excerpt(value));
}

std::vector<std::string> FieldReader::Unknown() const {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : object_.members()) {
    if (!value.is_null() && !known_.contains(key))
      unknown.push_back(absl::StrCat("key ", Excerpt(key), " (", Excerpt(value), ") is not known"));
  }
  return unknown;
}

void FieldReader::ForbidUnknown() {
  const std::vector<std::string> known(known_.begin(), known_.end());
  for (const auto& [key, value] : object_.members()) {
    if (!known_.contains(key))
      problems_.push_back(
          absl::StrCat(Excerpt(key), " is not a field that Mellow knows", DidYouMean(key, known)));
  }
}

void FieldReader::Reject(const char* field, absl::string_view expected) {
  const Value* found = Find(field);
  problems_.push_back(absl::StrCat(field, " is ", found == nullptr ? "absent" : Excerpt(*found),
                                   ", expected ", expected));
}

void FieldReader::Int(const char* field, int min, int max, int* value) {
  const Value* found = Find(field);
  if (found == nullptr) return;
  int number = 0;
  if (!found->To(&number) || number < min || number > max)
    return Reject(field, absl::StrCat("an integer from ", min, " to ", max));
  *value = number;
}

void FieldReader::Number(const char* field, double min, double max, double* value) {
  const Value* found = Find(field);
  if (found == nullptr) return;
  if (!found->is_number() || !(found->number() >= min && found->number() <= max))
    return Reject(field, absl::StrCat("a number from ", min, " to ", max));
  *value = found->number();
}

void FieldReader::Bool(const char* field, bool* value) {
  const Value* found = Find(field);
  if (found != nullptr && !found->To(value)) Reject(field, "true or false");
}

void FieldReader::String(const char* field, std::string* value) {
  const Value* found = Find(field);
  if (found != nullptr && !found->To(value)) Reject(field, "a string");
}

std::optional<int> FieldReader::OptionalInt(const char* field, int min, int max) {
  int value = 0;
  const size_t before = problems_.size();
  Int(field, min, max, &value);
  if (Find(field) == nullptr || problems_.size() > before) return std::nullopt;
  return value;
}

std::optional<bool> FieldReader::OptionalBool(const char* field) {
  const Value* found = Find(field);
  bool value = false;
  Bool(field, &value);
  return found == nullptr || !found->is_bool() ? std::nullopt : std::optional<bool>(value);
}

std::optional<std::string> FieldReader::OptionalString(const char* field) {
  const Value* found = Find(field);
  std::string value;
  String(field, &value);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return value;
}

bool FieldReader::BoolOr(const char* field, bool absent) {
  Bool(field, &absent);
  return absent;
}

std::string FieldReader::StringOr(const char* field, const char* absent) {
  std::string value = absent;
  String(field, &value);
  return value;
}

absl::Status FieldReader::Finish() const {
  if (problems_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name_, name_.empty() ? "" : ": ", absl::StrJoin(problems_, "; ")));
}

}  // namespace mellow::json
