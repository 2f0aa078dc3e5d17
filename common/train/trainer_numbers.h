#ifndef MELLOW_COMMON_TRAIN_TRAINER_NUMBERS_H_
#define MELLOW_COMMON_TRAIN_TRAINER_NUMBERS_H_

// trainer.json of a checkpoint, without torch: what the state was made with and the method's
// numbers.

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/json/value.h"

namespace mellow::train {

[[nodiscard]] std::string SerializeTrainerNumbers(json::Value made_with, json::Value numbers);

// `made_with`: what must be equal for the state to fit. `read` gets the object and takes the
// method's numbers out of it. Errors begin with `name`. FailedPrecondition: another format, or a
// state that was made with something else (the field is named); DataLoss: no such file; the error
// of `read`.
[[nodiscard]] absl::Status ParseTrainerNumbers(
    const std::string& text, absl::string_view name, const json::Value& made_with,
    const std::function<absl::Status(const json::Value& numbers)>& read);

// For `read`. DataLoss: `object` has no such number, or of ReadCount no such integer of 0 or more.
[[nodiscard]] absl::Status ReadNumber(const json::Value& object, const char* key, double* out);
[[nodiscard]] absl::Status ReadCount(const json::Value& object, const char* key, int64_t* out);

}  // namespace mellow::train

#endif  // MELLOW_COMMON_TRAIN_TRAINER_NUMBERS_H_
