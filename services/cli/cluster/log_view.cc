#include "services/cli/cluster/log_view.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "services/cli/terminal/printable.h"

namespace mellow::cli {
namespace {

// For a file whose end alone is wanted: lines are a few hundred bytes long.
constexpr int64_t kBytesOfALine = 2048;

// "12:00:05.123" of "2024-01-31T12:00:05.123Z".
absl::string_view ClockTime(absl::string_view time) {
  const size_t at = time.find('T');
  if (at == absl::string_view::npos) return time;
  time.remove_prefix(at + 1);
  if (absl::EndsWith(time, "Z")) time.remove_suffix(1);
  return time;
}

std::string FieldText(const json::Value& value) {
  if (!value.is_string()) return json::Write(value);
  const std::string& text = value.string();
  const bool plain = !text.empty() && text.find_first_of(" \"=") == std::string::npos;
  return plain ? text : json::Write(value);
}

}  // namespace

std::string LogText(const LogLine& line) {
  const json::Value record = json::Parse(line.text, "").value_or(json::Value());
  std::string time;
  std::string level;
  std::string message;
  if (!record.is_object() || !record.Get("time", &time) || !record.Get("level", &level) ||
      !record.Get("message", &message))
    return PrintableLine(
        absl::StrFormat("%-12s %-12s %s", ClockTime(line.time), line.service, line.text));
  std::string text =
      absl::StrFormat("%s %-12s %-7s %s", ClockTime(time), line.service, level, message);
  for (const auto& [key, value] : record.members()) {
    if (key != "time" && key != "level" && key != "message" && key != "service")
      absl::StrAppend(&text, " ", key, "=", FieldText(value));
  }
  return PrintableLine(text);
}

absl::StatusOr<std::vector<LogLine>> LogReader::Read(int lines) {
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path_, error));
  if (error) return ErrnoStatus(error.value(), path_);
  const bool first = end_ < 0;
  if (size < end_) end_ = 0;
  if (first) end_ = lines < 0 ? 0 : std::max<int64_t>(0, size - (lines + 1) * kBytesOfALine);
  const bool cut = first && end_ > 0;
  std::ifstream file(path_, std::ios::binary);
  if (!file) return ErrnoStatus(errno, path_);
  file.seekg(end_);
  std::string text(static_cast<size_t>(size - end_), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  // What has no line end yet is still being written.
  const size_t whole = text.rfind('\n') + 1;
  text.resize(whole);
  end_ += static_cast<int64_t>(whole);
  std::vector<LogLine> found;
  size_t begin = cut ? std::min(text.find('\n'), text.size() - 1) + 1 : 0;
  if (text.empty()) begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    LogLine line{.service = service_, .text = text.substr(begin, end - begin)};
    begin = end + 1;
    if (line.text.empty()) continue;
    const json::Value record = json::Parse(line.text, "").value_or(json::Value());
    if (std::string time; record.is_object() && record.Get("time", &time)) time_ = std::move(time);
    line.time = time_;
    found.push_back(std::move(line));
  }
  if (first && lines >= 0 && found.size() > static_cast<size_t>(lines))
    found.erase(found.begin(), found.end() - lines);
  return found;
}

std::vector<LogLine> MergeByTime(std::vector<std::vector<LogLine>> files) {
  std::vector<LogLine> all;
  for (std::vector<LogLine>& file : files)
    all.insert(all.end(), std::make_move_iterator(file.begin()),
               std::make_move_iterator(file.end()));
  std::stable_sort(all.begin(), all.end(),
                   [](const LogLine& a, const LogLine& b) { return a.time < b.time; });
  return all;
}

}  // namespace mellow::cli
