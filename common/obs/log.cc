#include "common/obs/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/json/value.h"

namespace mellow::obs {
namespace {

spdlog::level::level_enum ToSpdlog(Severity severity) {
  switch (severity) {
    case Severity::kDebug:
      return spdlog::level::debug;
    case Severity::kInfo:
      return spdlog::level::info;
    case Severity::kWarning:
      return spdlog::level::warn;
    case Severity::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

absl::string_view Name(Severity severity) {
  switch (severity) {
    case Severity::kDebug:
      return "debug";
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "info";
}

// Set once by InitLog, before any other thread runs.
std::string& ServiceName() {
  static auto* name = new std::string();
  return *name;
}

spdlog::logger& Logger() {
  static auto* logger = [] {
    auto* made = new spdlog::logger("mellow", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    return made;
  }();
  return *logger;
}

}  // namespace

absl::Status InitLog(const std::string& service, absl::string_view level) {
  for (Severity severity :
       {Severity::kDebug, Severity::kInfo, Severity::kWarning, Severity::kError}) {
    if (level == Name(severity)) {
      ServiceName() = service;
      Logger().set_level(ToSpdlog(severity));
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError("--log-level " + std::string(level) +
                                    ": one of debug, info, warning, error");
}

void Log(Severity severity, absl::string_view message, LogFields fields) {
  spdlog::logger& logger = Logger();
  if (!logger.should_log(ToSpdlog(severity))) return;
  json::Value line;
  line.Set("time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()));
  line.Set("level", Name(severity));
  if (!ServiceName().empty()) line.Set("service", ServiceName());
  line.Set("message", message);
  for (const auto& [key, value] : fields)
    std::visit([&line, &key = key](const auto& v) { line.Set(key, v); }, value.value());
  // Text that came from outside may not be UTF-8: replace instead of throwing.
  logger.log(ToSpdlog(severity), json::Write(line));
}

}  // namespace mellow::obs
