#include "services/cli/files/spec_message.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/nearest_name.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "common/nn/weights/hub_cache.h"

namespace mellow::cli {
namespace {

namespace fs = std::filesystem;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::vector<std::string> NamesOfFields(const Descriptor& descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor.field_count(); ++i) names.push_back(descriptor.field(i)->name());
  return names;
}

std::string FieldNames(const Descriptor& descriptor) {
  return absl::StrJoin(NamesOfFields(descriptor), ", ");
}

// By its name in the .proto file or by that of proto JSON; null: there is none.
const FieldDescriptor* FindField(const Descriptor& descriptor, const std::string& name) {
  const FieldDescriptor* field = descriptor.FindFieldByName(name);
  return field != nullptr ? field : descriptor.FindFieldByCamelcaseName(name);
}

// Whether the message has every field of the object; where it is no object, protobuf's own reader
// says so.
absl::Status CheckFields(const json::Value& object, const Descriptor& type,
                         const std::string& path) {
  for (const auto& [name, value] : object.members()) {
    const FieldDescriptor* field = FindField(type, name);
    if (field == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, name, ": no such field", DidYouMean(name, NamesOfFields(type))));
    }
    const Descriptor* inner = field->message_type();
    if (inner == nullptr || field->is_map() || inner->file()->package() == "google.protobuf")
      continue;  // those have a JSON of their own
    const std::string inside = absl::StrCat(path, name, ".");
    MELLOW_RETURN_IF_ERROR(CheckFields(value, *inner, inside));
    for (const json::Value& element : value.elements())
      MELLOW_RETURN_IF_ERROR(CheckFields(element, *inner, inside));
  }
  return absl::OkStatus();
}

absl::Status WrongType(absl::string_view path, absl::string_view value, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": '", value, "' is not ", wanted));
}

// Parses `text` with `parse` and hands the value to `set` or `add`, whichever the field wants.
template <typename T, typename Parse>
absl::Status Store(absl::string_view path, absl::string_view text, absl::string_view wanted,
                   Parse parse, void (Reflection::*set)(Message*, const FieldDescriptor*, T) const,
                   void (Reflection::*add)(Message*, const FieldDescriptor*, T) const,
                   const FieldDescriptor* field, Message* message) {
  T value{};
  if (!parse(text, &value)) return WrongType(path, text, wanted);
  (message->GetReflection()->*(field->is_repeated() ? add : set))(message, field, value);
  return absl::OkStatus();
}

bool ParseBool(absl::string_view text, bool* value) {
  *value = text == "true";
  return text == "true" || text == "false";
}

absl::Status StoreValue(absl::string_view path, absl::string_view text,
                        const FieldDescriptor* field, Message* message) {
  const auto integer = [](absl::string_view t, auto* out) { return absl::SimpleAtoi(t, out); };
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Store<int32_t>(path, text, "a whole number", integer, &Reflection::SetInt32,
                            &Reflection::AddInt32, field, message);
    case FieldDescriptor::CPPTYPE_INT64:
      return Store<int64_t>(path, text, "a whole number", integer, &Reflection::SetInt64,
                            &Reflection::AddInt64, field, message);
    case FieldDescriptor::CPPTYPE_UINT32:
      return Store<uint32_t>(path, text, "a whole number >= 0", integer, &Reflection::SetUInt32,
                             &Reflection::AddUInt32, field, message);
    case FieldDescriptor::CPPTYPE_UINT64:
      return Store<uint64_t>(path, text, "a whole number >= 0", integer, &Reflection::SetUInt64,
                             &Reflection::AddUInt64, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Store<double>(path, text, "a number", absl::SimpleAtod, &Reflection::SetDouble,
                           &Reflection::AddDouble, field, message);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Store<float>(path, text, "a number", absl::SimpleAtof, &Reflection::SetFloat,
                          &Reflection::AddFloat, field, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      return Store<bool>(path, text, "true or false", ParseBool, &Reflection::SetBool,
                         &Reflection::AddBool, field, message);
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->is_repeated()) {
        message->GetReflection()->AddString(message, field, std::string(text));
      } else {
        message->GetReflection()->SetString(message, field, std::string(text));
      }
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM: {
      const google::protobuf::EnumDescriptor& type = *field->enum_type();
      const google::protobuf::EnumValueDescriptor* found = type.FindValueByName(std::string(text));
      if (found == nullptr) {
        std::vector<std::string> names;
        for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
        return WrongType(path, text, absl::StrCat("one of ", absl::StrJoin(names, ", ")));
      }
      message->GetReflection()->SetEnum(message, field, found);
      return absl::OkStatus();
    }
    default:
      return absl::InvalidArgumentError(absl::StrCat(path, ": set one of its fields instead (",
                                                     FieldNames(*field->message_type()), ")"));
  }
}

absl::Status MakeAbsolute(const fs::path& base, const std::vector<SpecPath>& paths) {
  for (const SpecPath& field : paths) {
    const fs::path absolute = (base / *field.path).lexically_normal();
    std::error_code ignored;
    const auto id = nn::ParseHubId(*field.path);
    if (field.on_hub && id && !fs::exists(absolute, ignored)) {
      MELLOW_ASSIGN_OR_RETURN(*field.path, nn::FindSnapshot(*id));
    } else {
      *field.path = absolute.string();
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SpecFromJson(const std::string& json, Message* spec) {
  const auto status = google::protobuf::util::JsonStringToMessage(json, spec);
  if (status.ok()) return absl::OkStatus();
  // Protobuf's reader names neither the path of an unknown field nor one that is like it.
  if (const auto object = json::ParseObject(json, "the file"); object.ok())
    MELLOW_RETURN_IF_ERROR(CheckFields(*object, *spec->GetDescriptor(), ""));
  return absl::InvalidArgumentError(std::string(status.message()));
}

std::string SpecDifference(const Message& a, const Message& b) {
  std::string difference;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  differencer.Compare(a, b);
  return difference;
}

std::string FolderName(absl::string_view name) {
  constexpr size_t kLongest = 100;
  std::string folder(name.substr(0, kLongest));
  for (char& c : folder) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_') c = '-';
  }
  return folder;
}

absl::Status SetField(absl::string_view assignment, Message* spec) {
  const size_t equals = assignment.find('=');
  if (equals == absl::string_view::npos || equals == 0)
    return absl::InvalidArgumentError(absl::StrCat("--set ", assignment, ": expected FIELD=VALUE"));
  const absl::string_view path = assignment.substr(0, equals);
  const absl::string_view value = assignment.substr(equals + 1);
  Message* message = spec;
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const Descriptor& type = *message->GetDescriptor();
    const FieldDescriptor* field = FindField(type, std::string(parts[i]));
    if (field == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("--set ", path, ": no field '", parts[i], "'",
                                                     DidYouMean(parts[i], NamesOfFields(type)),
                                                     " (there are: ", FieldNames(type), ")"));
    }
    const bool last = i + 1 == parts.size();
    const bool holds_fields = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (holds_fields && field->is_repeated() && !(last && value.empty())) {
      return absl::InvalidArgumentError(
          absl::StrCat("--set ", path, ": '", parts[i],
                       "' is a list of objects: write it in the file (each has ",
                       FieldNames(*field->message_type()), ")"));
    }
    if (!last) {
      if (!holds_fields) {
        return absl::InvalidArgumentError(
            absl::StrCat("--set ", path, ": '", parts[i], "' has no fields"));
      }
      message = message->GetReflection()->MutableMessage(message, field);
      continue;
    }
    message->GetReflection()->ClearField(message, field);
    if (value.empty()) return absl::OkStatus();
    if (value == "\"\"" && !field->is_repeated() &&
        field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      message->GetReflection()->SetString(message, field, "");  // set, to nothing
      return absl::OkStatus();
    }
    if (!field->is_repeated()) return Annotate(StoreValue(path, value, field, message), "--set");
    for (const absl::string_view element : absl::StrSplit(value, ',', absl::SkipEmpty())) {
      MELLOW_RETURN_IF_ERROR(Annotate(StoreValue(path, element, field, message), "--set"));
    }
  }
  return absl::OkStatus();
}

absl::Status LoadSpec(const std::string& path, const std::vector<std::string>& overrides,
                      const std::function<std::vector<SpecPath>()>& paths, Message* spec) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  MELLOW_RETURN_IF_ERROR(Annotate(SpecFromJson(text, spec), path));
  std::error_code error;
  MELLOW_RETURN_IF_ERROR(
      Annotate(MakeAbsolute(fs::absolute(path, error).parent_path(), paths()), path));
  for (const std::string& assignment : overrides)
    MELLOW_RETURN_IF_ERROR(SetField(assignment, spec));
  return MakeAbsolute(fs::current_path(error), paths());
}

}  // namespace mellow::cli
