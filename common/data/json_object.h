#ifndef MELLOW_COMMON_DATA_JSON_OBJECT_H_
#define MELLOW_COMMON_DATA_JSON_OBJECT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::data {

// A column of a row that is a JSON object.
struct JsonField {
  enum class Type { kText, kNull, kNotFinite, kList, kObject };

  std::string name;
  Type type = Type::kNull;
  // kText: the text, or a number or truth value as it stands in the file. kNotFinite: "NaN",
  // "Infinity" or "-Infinity".
  std::string text;
  size_t elements = 0;  // of a list
};

// Reads one object, its fields in order (of a name that comes twice the last one counts, as in
// Python). NaN, Infinity and -Infinity are read as Python's json module writes them.
// InvalidArgument: "not a JSON object in UTF-8: what is wrong (byte 17)".
[[nodiscard]] absl::StatusOr<std::vector<JsonField>> ParseJsonObject(absl::string_view json);

}  // namespace mellow::data

#endif  // MELLOW_COMMON_DATA_JSON_OBJECT_H_
