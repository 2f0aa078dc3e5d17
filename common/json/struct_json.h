#ifndef MELLOW_COMMON_JSON_STRUCT_JSON_H_
#define MELLOW_COMMON_JSON_STRUCT_JSON_H_

// Structs as JSON objects and back, strictly: a field that is missing or of another type is an
// error that names its path ("arms[1].name"), but an optional may be missing, because an older
// version wrote the file; fields that are not known are passed over; a double reads back as the
// same double. Each struct lists its fields once, in its own namespace, before the templates below
// are used:
//   template <typename F>
//   void Fields(F& f, Arm& x) {
//     f("name", x.name);
//   }
// Fields may be numbers, bool, strings, such structs, enums (with EnumName(value) and
// EnumValues(E{}) beside them), and vectors, optionals (absent: null) and maps by string of these.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "common/json/value.h"

namespace mellow::json {

class StructWriter {
 public:
  template <typename T>
  static Value Write(const T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return Value(value);
    } else if constexpr (std::is_enum_v<T>) {
      return std::string(EnumName(value));
    } else {
      StructWriter writer;
      // Fields serves reading too and so takes no const; this one changes nothing.
      Fields(writer, const_cast<T&>(value));
      return std::move(writer.object_);
    }
  }
  template <typename T>
  static Value Write(const std::vector<T>& values) {
    Value list = Value::MakeArray();
    for (const T& value : values) list.Append(Write(value));
    return list;
  }
  template <typename T>
  static Value Write(const std::map<std::string, T>& values) {
    Value object = Value::MakeObject();
    for (const auto& [key, value] : values) object.Add(key, Write(value));
    return object;
  }
  template <typename T>
  static Value Write(const std::optional<T>& value) {
    return value.has_value() ? Write(*value) : Value();
  }

  template <typename T>
  void operator()(const char* name, const T& field) {
    object_.Add(name, Write(field));
  }

 private:
  Value object_ = Value::MakeObject();
};

class StructReader {
 public:
  StructReader(const Value& object, std::string path) : object_(object), path_(std::move(path)) {}

  template <typename T>
  static absl::Status Read(const Value& value, const std::string& path, T* out) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!value.To(out)) return Bad(path, "true or false");
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      if (!value.To(out)) return Bad(path, "a whole number >= 0");
    } else if constexpr (std::is_integral_v<T>) {
      if (!value.is_integer()) return Bad(path, "a whole number");
      if (!value.To(out)) return Bad(path, "a smaller number");
    } else if constexpr (std::is_floating_point_v<T>) {
      double number = 0;
      if (!ReadNumber(value, &number)) return Bad(path, "a number");
      *out = static_cast<T>(number);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.To(out)) return Bad(path, "a string");
    } else if constexpr (std::is_enum_v<T>) {
      std::vector<absl::string_view> names;
      for (const T each : EnumValues(T{})) {
        names.push_back(EnumName(each));
        if (!value.is_string() || value.string() != names.back()) continue;
        *out = each;
        return absl::OkStatus();
      }
      const std::string last = absl::StrCat(" or ", names.back());
      names.pop_back();
      return Bad(path, absl::StrCat(absl::StrJoin(names, ", "), last));
    } else {
      if (!value.is_object()) return Bad(path, "an object");
      StructReader reader(value, path);
      Fields(reader, *out);
      return reader.status_;
    }
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status Read(const Value& value, const std::string& path, std::vector<T>* out) {
    if (!value.is_array()) return Bad(path, "a list");
    out->resize(value.size());
    for (size_t i = 0; i < value.size(); ++i) {
      MELLOW_RETURN_IF_ERROR(Read(value[i], absl::StrCat(path, "[", i, "]"), &(*out)[i]));
    }
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status Read(const Value& value, const std::string& path,
                           std::map<std::string, T>* out) {
    if (!value.is_object()) return Bad(path, "an object");
    for (const auto& [key, member] : value.members()) {
      MELLOW_RETURN_IF_ERROR(Read(member, absl::StrCat(path, ".", key), &(*out)[key]));
    }
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status Read(const Value& value, const std::string& path, std::optional<T>* out) {
    out->reset();
    if (value.is_null()) return absl::OkStatus();
    return Read(value, path, &out->emplace());
  }

  template <typename T>
  void operator()(const char* name, T& field) {
    if (!status_.ok()) return;
    const std::string path = path_.empty() ? name : absl::StrCat(path_, ".", name);
    const Value* found = object_.Find(name);
    if (IsOptional(field) && found == nullptr) return;
    status_ = found == nullptr ? absl::InvalidArgumentError(absl::StrCat(path, " is missing"))
                               : Read(*found, path, &field);
  }

 private:
  template <typename T>
  static constexpr bool IsOptional(const T&) {
    return false;
  }
  template <typename T>
  static constexpr bool IsOptional(const std::optional<T>&) {
    return true;
  }
  static absl::Status Bad(const std::string& path, absl::string_view wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.empty() ? "the file" : path, ": ", wanted, " is needed"));
  }

  const Value& object_;
  const std::string path_;
  absl::Status status_;
};

template <typename T>
std::string StructToJson(const T& value, int indentation) {
  return Write(StructWriter::Write(value), {.indentation = indentation});
}

template <typename T>
absl::StatusOr<T> StructFromJson(absl::string_view text) {
  MELLOW_ASSIGN_OR_RETURN(const Value json, ParseObject(text, ""));
  T value;
  MELLOW_RETURN_IF_ERROR(StructReader::Read(json, "", &value));
  return value;
}

// The same for a struct with a number `schema`, which must be `wanted`: InvalidArgument otherwise,
// whatever else the object says. `plural`: what the message calls such objects.
template <typename T>
absl::StatusOr<T> StructFromJson(absl::string_view text, int wanted, absl::string_view plural) {
  MELLOW_ASSIGN_OR_RETURN(const Value json, ParseObject(text, ""));
  const Value* schema = json.Find("schema");
  if (schema == nullptr || *schema != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("schema: ", schema == nullptr ? "missing" : Excerpt(*schema),
                     "; this program reads ", plural, " of schema ", wanted));
  }
  T value;
  MELLOW_RETURN_IF_ERROR(StructReader::Read(json, "", &value));
  return value;
}

}  // namespace mellow::json

#endif  // MELLOW_COMMON_JSON_STRUCT_JSON_H_
