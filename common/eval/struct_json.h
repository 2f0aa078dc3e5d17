#ifndef MELLOW_COMMON_EVAL_STRUCT_JSON_H_
#define MELLOW_COMMON_EVAL_STRUCT_JSON_H_

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
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
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
#include "common/stats/bootstrap.h"
#include "common/stats/wilson.h"

namespace mellow::eval {

class StructWriter {
 public:
  template <typename T>
  static nlohmann::ordered_json Write(const T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return value;  // a double that is not finite becomes null
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
  static nlohmann::ordered_json Write(const std::vector<T>& values) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const T& value : values) list.push_back(Write(value));
    return list;
  }
  template <typename T>
  static nlohmann::ordered_json Write(const std::map<std::string, T>& values) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (const auto& [key, value] : values) object[key] = Write(value);
    return object;
  }
  template <typename T>
  static nlohmann::ordered_json Write(const std::optional<T>& value) {
    return value.has_value() ? Write(*value) : nlohmann::ordered_json();
  }

  template <typename T>
  void operator()(const char* name, const T& field) {
    object_[name] = Write(field);
  }

 private:
  nlohmann::ordered_json object_ = nlohmann::ordered_json::object();
};

class StructReader {
 public:
  StructReader(const nlohmann::ordered_json& object, std::string path)
      : object_(object), path_(std::move(path)) {}

  template <typename T>
  static absl::Status Read(const nlohmann::ordered_json& json, const std::string& path, T* out) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!json.is_boolean()) return Bad(path, "true or false");
      *out = json.get<bool>();
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      if (!json.is_number_unsigned()) return Bad(path, "a whole number >= 0");
      *out = json.get<T>();
    } else if constexpr (std::is_integral_v<T>) {
      if (!json.is_number_integer()) return Bad(path, "a whole number");
      if (json.is_number_unsigned() &&
          json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()})
        return Bad(path, "a smaller number");  // it would wrap around
      const auto value = json.get<int64_t>();
      *out = static_cast<T>(value);
      if (int64_t{*out} != value) return Bad(path, "a smaller number");
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!json.is_number()) return Bad(path, "a number");
      *out = json.get<T>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!json.is_string()) return Bad(path, "a string");
      *out = json.get<std::string>();
    } else if constexpr (std::is_enum_v<T>) {
      std::vector<absl::string_view> names;
      for (const T value : EnumValues(T{})) {
        names.push_back(EnumName(value));
        if (!json.is_string() || json.get_ref<const std::string&>() != names.back()) continue;
        *out = value;
        return absl::OkStatus();
      }
      const std::string last = absl::StrCat(" or ", names.back());
      names.pop_back();
      return Bad(path, absl::StrCat(absl::StrJoin(names, ", "), last));
    } else {
      if (!json.is_object()) return Bad(path, "an object");
      StructReader reader(json, path);
      Fields(reader, *out);
      return reader.status_;
    }
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status Read(const nlohmann::ordered_json& json, const std::string& path,
                           std::vector<T>* out) {
    if (!json.is_array()) return Bad(path, "a list");
    out->resize(json.size());
    for (size_t i = 0; i < json.size(); ++i) {
      MELLOW_RETURN_IF_ERROR(Read(json[i], absl::StrCat(path, "[", i, "]"), &(*out)[i]));
    }
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status Read(const nlohmann::ordered_json& json, const std::string& path,
                           std::map<std::string, T>* out) {
    if (!json.is_object()) return Bad(path, "an object");
    for (const auto& [key, value] : json.items()) {
      MELLOW_RETURN_IF_ERROR(Read(value, absl::StrCat(path, ".", key), &(*out)[key]));
    }
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status Read(const nlohmann::ordered_json& json, const std::string& path,
                           std::optional<T>* out) {
    out->reset();
    if (json.is_null()) return absl::OkStatus();
    return Read(json, path, &out->emplace());
  }

  template <typename T>
  void operator()(const char* name, T& field) {
    if (!status_.ok()) return;
    const std::string path = path_.empty() ? name : absl::StrCat(path_, ".", name);
    const auto found = object_.find(name);
    if (IsOptional(field) && found == object_.end()) return;
    status_ = found == object_.end() ? absl::InvalidArgumentError(absl::StrCat(path, " is missing"))
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

  const nlohmann::ordered_json& object_;
  const std::string path_;
  absl::Status status_;
};

// `indentation` -1: one line. Text that is not UTF-8 gets replacement characters.
inline std::string DumpJson(const nlohmann::ordered_json& json, int indentation) {
  return json.dump(indentation, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// InvalidArgument: not a JSON object in UTF-8.
inline absl::StatusOr<nlohmann::ordered_json> ParseJsonObject(absl::string_view text) {
  auto json = nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr,
                                            /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("not a JSON object in UTF-8");
  return json;
}

// What other areas' structs contain too.
template <typename F>
void Fields(F& f, stats::MeanInterval& x) {
  f("mean", x.mean);
  f("lower", x.lower);
  f("upper", x.upper);
}
template <typename F>
void Fields(F& f, stats::Proportion& x) {
  f("rate", x.rate);
  f("lower", x.lower);
  f("upper", x.upper);
  f("successes", x.successes);
  f("trials", x.trials);
}

template <typename T>
std::string StructToJson(const T& value, int indentation) {
  return DumpJson(StructWriter::Write(value), indentation);
}

template <typename T>
absl::StatusOr<T> StructFromJson(absl::string_view text) {
  MELLOW_ASSIGN_OR_RETURN(const nlohmann::ordered_json json, ParseJsonObject(text));
  T value;
  MELLOW_RETURN_IF_ERROR(StructReader::Read(json, "", &value));
  return value;
}

// The same for a struct with a number `schema`, which must be `wanted`: InvalidArgument otherwise,
// whatever else the object says. `plural`: what the message calls such objects.
template <typename T>
absl::StatusOr<T> StructFromJson(absl::string_view text, int wanted, absl::string_view plural) {
  MELLOW_ASSIGN_OR_RETURN(const nlohmann::ordered_json json, ParseJsonObject(text));
  const auto schema = json.find("schema");
  if (schema == json.end() || *schema != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("schema: ", schema == json.end() ? "missing" : DumpJson(*schema, -1),
                     "; this program reads ", plural, " of schema ", wanted));
  }
  T value;
  MELLOW_RETURN_IF_ERROR(StructReader::Read(json, "", &value));
  return value;
}

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_STRUCT_JSON_H_
