#ifndef MELLOW_COMMON_NN_WEIGHTS_JSON_FIELDS_H_
#define MELLOW_COMMON_NN_WEIGHTS_JSON_FIELDS_H_

// Strict reading of the JSON in model and adapter folders.

#include <nlohmann/json.hpp>
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

  // Notes "field is VALUE, expected WHAT".
  void Reject(const char* field, absl::string_view expected);
  // InvalidArgument naming `name` and every field with its value.
  [[nodiscard]] absl::Status Finish(absl::string_view name) const;

 private:
  const nlohmann::json& object_;
  std::vector<std::string> problems_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_JSON_FIELDS_H_
