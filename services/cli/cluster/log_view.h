#ifndef MELLOW_SERVICES_CLI_CLUSTER_LOG_VIEW_H_
#define MELLOW_SERVICES_CLI_CLUSTER_LOG_VIEW_H_

// The services' logs (common/obs/log.h) for people.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::cli {

// A line of a log file.
struct LogLine {
  std::string time;     // as logged; of a line that is no record: that of the one before it
  std::string service;  // the file's name
  std::string text;     // without line end
};

// "12:00:05.123 policy-0 warning  message  key=value": what an object of the log says. Another text
// stands as it is. Shown as PrintableLine.
[[nodiscard]] std::string LogText(const LogLine& line);

// Reads what a file grows by.
class LogReader {
 public:
  LogReader(std::string path, std::string service)
      : path_(std::move(path)), service_(std::move(service)) {}

  // The whole lines after those that were read; the first time the last `lines` of the file, -1:
  // all of it. A file that is shorter than it was is read from its beginning. Errors of the file.
  [[nodiscard]] absl::StatusOr<std::vector<LogLine>> Read(int lines);

 private:
  std::string path_;
  std::string service_;
  int64_t end_ = -1;  // read so far; -1: nothing
  std::string time_;  // of the last record
};

// By time, lines of one file in their order.
[[nodiscard]] std::vector<LogLine> MergeByTime(std::vector<std::vector<LogLine>> files);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_LOG_VIEW_H_
