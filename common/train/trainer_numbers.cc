#include "common/train/trainer_numbers.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::train {
namespace {

using json::Value;

constexpr int kFormat = 1;

absl::Status CheckMadeWith(const Value& state, const Value& wanted) {
  double format = 0;
  MELLOW_RETURN_IF_ERROR(ReadNumber(state, "format", &format));
  if (format != kFormat)
    return absl::FailedPreconditionError(
        absl::StrCat("format ", format, ", this version reads ", kFormat));
  if (!state["made_with"].is_object()) return absl::DataLossError("no \"made_with\"");
  for (const auto& [key, value] : wanted.members()) {
    // States of earlier versions do not speak of what they did not have.
    const Value* found = state["made_with"].Find(key);
    const Value saved = found != nullptr    ? *found
                        : value.is_object() ? Value::MakeObject()
                                            : Value();
    if (saved != value)
      return absl::FailedPreconditionError(
          absl::StrCat(key, " is ", json::Write(saved), ", this trainer has ", json::Write(value)));
  }
  return absl::OkStatus();
}

}  // namespace

std::string SerializeTrainerNumbers(Value made_with, Value numbers) {
  numbers.Add("format", kFormat);
  numbers.Add("made_with", std::move(made_with));
  return json::Write(numbers, {.indentation = 1, .sorted = true});
}

absl::Status ParseTrainerNumbers(const std::string& text, absl::string_view name,
                                 const Value& made_with,
                                 const std::function<absl::Status(const Value&)>& read) {
  const absl::StatusOr<Value> state = json::ParseObject(text, name);
  if (!state.ok()) return absl::DataLossError(state.status().message());
  absl::Status fits = CheckMadeWith(*state, made_with);
  if (fits.ok()) fits = read(*state);
  return Annotate(fits, name);
}

absl::Status ReadNumber(const Value& object, const char* key, double* out) {
  if (json::ReadNumber(object, key, out)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("no number \"", key, "\""));
}

absl::Status ReadCount(const Value& object, const char* key, int64_t* out) {
  if (object.Get(key, out) && *out >= 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("no count \"", key, "\""));
}

}  // namespace mellow::train
