#ifndef MELLOW_COMMON_OBS_LOG_H_
#define MELLOW_COMMON_OBS_LOG_H_

// Structured logs: one JSON object per line on standard error.
//   Log(Severity::kInfo, "adapter published", {{"version", 3}, {"sha256", hash}});
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","service":"policy-0","message":"adapter
//   published","version":3,"sha256":"ab…"}
// Thread-safe.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::obs {

enum class Severity { kDebug, kInfo, kWarning, kError };

class LogValue {
 public:
  LogValue(const char* v) : value_(std::string(v)) {}        // NOLINT(google-explicit-constructor)
  LogValue(absl::string_view v) : value_(std::string(v)) {}  // NOLINT(google-explicit-constructor)
  LogValue(const std::string& v) : value_(v) {}              // NOLINT(google-explicit-constructor)
  LogValue(double v) : value_(v) {}                          // NOLINT(google-explicit-constructor)
  LogValue(bool v) : value_(v) {}                            // NOLINT(google-explicit-constructor)
  template <typename T, typename = std::enable_if_t<std::is_integral_v<T>>>
  LogValue(T v) : value_(static_cast<int64_t>(v)) {}  // NOLINT(google-explicit-constructor)

  const std::variant<std::string, double, bool, int64_t>& value() const { return value_; }

 private:
  std::variant<std::string, double, bool, int64_t> value_;
};

using LogFields = std::initializer_list<std::pair<absl::string_view, LogValue>>;

// Once, in main(). `level`: debug, info, warning, error; InvalidArgument otherwise.
[[nodiscard]] absl::Status InitLog(const std::string& service, absl::string_view level);

void Log(Severity severity, absl::string_view message, LogFields fields = {});

}  // namespace mellow::obs

#endif  // MELLOW_COMMON_OBS_LOG_H_
