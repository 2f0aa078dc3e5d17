#ifndef MELLOW_COMMON_TEXT_JSON_OBJECT_H_
#define MELLOW_COMMON_TEXT_JSON_OBJECT_H_

// Strict reading of the JSON of tokenizers.

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::text {

using Json = nlohmann::json;

// The object that `text` is. Numbers with a fraction get the value that the tokenizers library
// reads, which is not always the nearest one: its parser multiplies digits and power of ten as
// doubles, and the last bit decides between segmentations of equal worth. InvalidArgument, naming
// `name`: no JSON, no object.
[[nodiscard]] absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view name);

// Takes the fields of one object, and at the end says everything that is wrong at once: fields of
// the wrong kind, and with ForbidOthers those that nobody asked for. null counts as absent. The
// object must outlive this; it need not be an object at all, which is an error then.
class JsonObject {
 public:
  // `name` is where the object stands, for errors.
  JsonObject(const Json& json, std::string name);

  // nullptr: absent.
  [[nodiscard]] const Json* Find(const char* field);
  [[nodiscard]] std::optional<bool> OptionalBool(const char* field);
  [[nodiscard]] bool Bool(const char* field, bool absent) {
    return OptionalBool(field).value_or(absent);
  }
  [[nodiscard]] std::optional<std::string> OptionalString(const char* field);
  [[nodiscard]] std::string String(const char* field, const char* absent) {
    return OptionalString(field).value_or(absent);
  }
  [[nodiscard]] std::optional<int> OptionalInt(const char* field, int min, int max);

  // Fields that may be there and mean nothing to us.
  void Ignore(std::initializer_list<const char*> fields);
  // Notes "FIELD is VALUE, expected WHAT".
  void Reject(const char* field, absl::string_view expected);
  void ForbidOthers();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] absl::Status status() const;

 private:
  const Json& json_;
  std::string name_;
  absl::flat_hash_set<std::string> asked_;
  std::vector<std::string> problems_;
};

// The beginning of a value, for errors.
[[nodiscard]] std::string Excerpt(const Json& json);

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_JSON_OBJECT_H_
