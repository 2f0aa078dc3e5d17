#ifndef MELLOW_COMMON_NN_WEIGHTS_JSON_FIELDS_H_
#define MELLOW_COMMON_NN_WEIGHTS_JSON_FIELDS_H_

// Strict reading of the JSON in model and adapter folders.

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::nn {

// One JSON object. InvalidArgument, naming `name`: not JSON (with the position), not an object, a
// key twice in one object, nesting deeper than 32.
[[nodiscard]] absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text,
                                                             absl::string_view name);

// Takes typed fields out of an object and at the end says everything that is wrong at once. An
// absent field, and null as Python writes for None, leave the value as it is. The object must
// outlive this.
class JsonFields {
 public:
  explicit JsonFields(const nlohmann::json& object) : object_(object) {}

  void Int(const char* field, int min, int max, int* value);
  void Number(const char* field, double min, double max, double* value);
  void Bool(const char* field, bool* value);
  void String(const char* field, std::string* value);
  // The field's value; nullptr when absent or null.
  [[nodiscard]] const nlohmann::json* Find(const char* field) const;

  // Fields whose values change nothing here.
  void Harmless(std::initializer_list<const char*> fields);
  // A field of which only this value is implemented; another one is noted as a problem.
  void Only(const char* field, const nlohmann::json& value);
  // What of the object has not been asked for so far, null aside: `key "NAME" (VALUE) is not
  // known`.
  [[nodiscard]] std::vector<std::string> Unknown() const;

  // Notes "field is VALUE, expected WHAT".
  void Reject(const char* field, absl::string_view expected);
  // InvalidArgument naming `name` and every field with its value.
  [[nodiscard]] absl::Status Finish(absl::string_view name) const;

 private:
  const nlohmann::json& object_;
  mutable std::set<std::string> known_;  // asked for, whether there or not
  std::vector<std::string> problems_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_JSON_FIELDS_H_
