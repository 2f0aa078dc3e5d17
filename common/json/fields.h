#ifndef MELLOW_COMMON_JSON_FIELDS_H_
#define MELLOW_COMMON_JSON_FIELDS_H_

// Strict reading of an object that others wrote.

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/json/value.h"

namespace mellow::json {

// Takes typed fields out of an object and at the end says everything that is wrong at once. An
// absent field, and null as Python writes for None, leave the value as it is. The object must
// outlive this; it need not be an object at all, which is an error then.
class FieldReader {
 public:
  // `name` is where the object stands, for errors.
  FieldReader(const Value& object, absl::string_view name);

  void Int(const char* field, int min, int max, int* value);
  void Number(const char* field, double min, double max, double* value);
  void Bool(const char* field, bool* value);
  void String(const char* field, std::string* value);
  [[nodiscard]] std::optional<int> OptionalInt(const char* field, int min, int max);
  [[nodiscard]] std::optional<bool> OptionalBool(const char* field);
  [[nodiscard]] std::optional<std::string> OptionalString(const char* field);
  [[nodiscard]] bool BoolOr(const char* field, bool absent);
  [[nodiscard]] std::string StringOr(const char* field, const char* absent);
  // The field's value; nullptr when absent or null.
  [[nodiscard]] const Value* Find(const char* field) const;

  // Fields whose values change nothing here.
  void Harmless(std::initializer_list<const char*> fields);
  // A field of which only this value is implemented; another one is noted as a problem.
  void Only(const char* field, const Value& value);
  // What of the object has not been asked for so far, null aside: `key "NAME" (VALUE) is not
  // known`.
  [[nodiscard]] std::vector<std::string> Unknown() const;
  // Makes problems of them, and of null ones.
  void ForbidUnknown();

  // Notes "field is VALUE, expected WHAT".
  void Reject(const char* field, absl::string_view expected);
  // InvalidArgument naming the object and every field with its value.
  [[nodiscard]] absl::Status Finish() const;

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  const Value& object_;
  const std::string name_;
  mutable std::set<std::string> known_;  // asked for, whether there or not
  std::vector<std::string> problems_;
};

}  // namespace mellow::json

#endif  // MELLOW_COMMON_JSON_FIELDS_H_
