#ifndef MELLOW_SERVICES_CLI_TERMINAL_JSON_LINES_H_
#define MELLOW_SERVICES_CLI_TERMINAL_JSON_LINES_H_

// JSON lines in, JSON lines out, in order, one per line. A line that cannot be answered gives
// {"error": "..."} and the stream goes on.

#include <cstdint>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/json/value.h"

namespace mellow::cli {

// InvalidArgument: not a JSON object in UTF-8.
[[nodiscard]] absl::StatusOr<json::Value> ParseObject(const std::string& line);
[[nodiscard]] json::Value ErrorObject(const absl::Status& status);

// InvalidArgument: a field that is none of these; a typing error must not pass as a default.
[[nodiscard]] absl::Status CheckFieldNames(const json::Value& object,
                                           const std::vector<std::string>& known);

// Fields of an object. InvalidArgument names the field.
[[nodiscard]] absl::StatusOr<std::string> TextField(const json::Value& object, const char* name);
// Absent or null: `absent`.
[[nodiscard]] absl::StatusOr<std::string> TextField(const json::Value& object, const char* name,
                                                    const std::string& absent);
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> IdsField(const json::Value& object,
                                                            const char* name);
// Absent or null: empty.
[[nodiscard]] absl::StatusOr<std::optional<int64_t>> OptionalInt(const json::Value& object,
                                                                 const char* name);
[[nodiscard]] absl::StatusOr<std::optional<bool>> OptionalBool(const json::Value& object,
                                                               const char* name);

// What became of the lines of a filter.
struct LineCounts {
  int64_t lines = 0;
  int64_t failed = 0;
  bool unreachable = false;  // a line failed because no server answered (Unavailable)
};
// The filter's exit code. 1: every line failed, one found no server, or, with `strict`, any failed.
// 0: the others, also when nothing was read. Says on standard error how many failed.
[[nodiscard]] int FilterExitCode(const LineCounts& counts, bool strict);

// Reads `batch` lines at a time and answers them together. `compute` gets the objects and returns
// as many answers, or an error; after an error each object is tried alone, so that one bad line
// does not spoil its mates.
[[nodiscard]] LineCounts AnswerInBatches(
    std::istream& in, std::ostream& out, int batch,
    const std::function<absl::StatusOr<std::vector<json::Value>>(const std::vector<json::Value>&)>&
        compute);

// Answers lines by `workers` threads at once, each as soon as it and those before it are ready:
// also good for a person who types.
[[nodiscard]] LineCounts AnswerInParallel(
    std::istream& in, std::ostream& out, int workers,
    const std::function<absl::StatusOr<json::Value>(const json::Value&)>& answer);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_JSON_LINES_H_
