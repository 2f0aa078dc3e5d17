#ifndef MELLOW_SERVICES_LEARNER_BASE_STEP_LOG_H_
#define MELLOW_SERVICES_LEARNER_BASE_STEP_LOG_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace mellow::learner {

// The records of a run's steps beside its checkpoints (steps.jsonl): one line per step with a
// checksum, appended and synced, so that a checkpoint costs the same however many steps came before
// the one before it. What counts is what the newest checkpoint has: lines of later steps, and a
// last line that is torn, are written over. Not thread-safe.
//
// A Record has a number `step`, not negative, and beside it SerializeRecord(record), one line of
// text, and ParseRecord(text, Record*), which answers an error for any other text.
template <typename Record>
class StepLog {
 public:
  // Reads the file, if there is one. `known` are the records that the checkpoint has itself (its
  // last step at least; all of them in a checkpoint of before). Both together, up to the last
  // one known, are the run's records afterwards, in *records and in the file. Lines that were
  // damaged are missing and counted in *damaged. Errors of the disk.
  [[nodiscard]] static absl::StatusOr<StepLog> Open(std::string path,
                                                    const std::map<int64_t, Record>& known,
                                                    std::map<int64_t, Record>* records,
                                                    int64_t* damaged) {
    absl::StatusOr<std::string> text = ReadFile(path);
    // A folder or a pointer of Git LFS in its place: a log that is damaged as a whole.
    const bool other = absl::IsInvalidArgument(text.status());
    if (!text.ok() && !other && !absl::IsNotFound(text.status())) return text.status();
    const int64_t last = known.empty() ? -1 : known.rbegin()->first;
    *damaged = other ? 1 : 0;
    records->clear();
    absl::string_view rest = text.ok() ? absl::string_view(*text) : absl::string_view();
    // The bytes up to where the file is exactly what would be written.
    int64_t end = 0;
    while (!rest.empty()) {
      const size_t length = rest.find('\n');
      // Torn: the process or the machine ended in the middle of it, and its step has no checkpoint.
      if (length == absl::string_view::npos) break;
      Record record;
      if (!ReadLine(rest.substr(0, length), &record)) {
        ++*damaged;
      } else if (record.step <= last) {
        (*records)[record.step] = std::move(record);
      } else {
        break;
      }
      rest.remove_prefix(length + 1);
      end = static_cast<int64_t>(text->size() - rest.size());
    }
    bool complete = *damaged == 0;
    for (const auto& [step, record] : known) {
      const auto it = records->find(step);
      if (it != records->end() && SerializeRecord(it->second) == SerializeRecord(record)) continue;
      (*records)[step] = record;
      complete = false;
    }
    if (!complete) {
      std::string all;
      for (const auto& [step, record] : *records) all += LineOf(record);
      MELLOW_RETURN_IF_ERROR(WriteFileAtomic(path, all));
      end = static_cast<int64_t>(all.size());
    }
    return StepLog(std::move(path), end);
  }

  // Writes lines after those that count, and syncs them. They count from Accept on: the next Append
  // without one writes over them.
  [[nodiscard]] absl::Status Append(absl::Span<const Record> records) {
    std::string lines;
    for (const Record& record : records) lines += LineOf(record);
    MELLOW_RETURN_IF_ERROR(WriteFileAt(path_, end_, lines));
    appended_ = end_ + static_cast<int64_t>(lines.size());
    return absl::OkStatus();
  }
  void Accept() { end_ = appended_; }

 private:
  static constexpr size_t kChecksumDigits = 16;

  StepLog(std::string path, int64_t end) : path_(std::move(path)), end_(end), appended_(end) {}

  static std::string ChecksumOf(absl::string_view text) {
    return Sha256Hex(text).substr(0, kChecksumDigits);
  }
  static std::string LineOf(const Record& record) {
    const std::string text = SerializeRecord(record);
    return absl::StrCat(ChecksumOf(text), " ", text, "\n");
  }
  // False: the line is not what was written.
  static bool ReadLine(absl::string_view line, Record* record) {
    if (line.size() <= kChecksumDigits + 1) return false;
    const absl::string_view text = line.substr(kChecksumDigits + 1);
    return line.substr(0, kChecksumDigits) == ChecksumOf(text) &&
           ParseRecord(std::string(text), record).ok();
  }

  std::string path_;
  int64_t end_;       // bytes that count
  int64_t appended_;  // with the last Append
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_STEP_LOG_H_
