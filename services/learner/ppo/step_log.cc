#include "services/learner/ppo/step_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace mellow::learner {
namespace {

constexpr size_t kChecksumDigits = 16;

std::string ChecksumOf(absl::string_view text) {
  Sha256 sha;
  sha.Update(text.data(), text.size());
  return sha.HexDigest().substr(0, kChecksumDigits);
}

std::string LineOf(const PpoStepRecord& record) {
  const std::string text = SerializeRecord(record);
  return absl::StrCat(ChecksumOf(text), " ", text, "\n");
}

// False: the line is not what was written.
bool ReadLine(absl::string_view line, PpoStepRecord* record) {
  if (line.size() <= kChecksumDigits + 1) return false;
  const absl::string_view text = line.substr(kChecksumDigits + 1);
  if (line.substr(0, kChecksumDigits) != ChecksumOf(text)) return false;
  absl::StatusOr<PpoStepRecord> read = ParseRecord(std::string(text));
  if (!read.ok()) return false;
  *record = *std::move(read);
  return true;
}

}  // namespace

absl::StatusOr<StepLog> StepLog::Open(std::string path,
                                      const std::map<int64_t, PpoStepRecord>& known,
                                      std::map<int64_t, PpoStepRecord>* records, int64_t* damaged) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
  const int64_t last = known.empty() ? 0 : known.rbegin()->first;
  *damaged = 0;
  records->clear();
  absl::string_view rest = text.ok() ? absl::string_view(*text) : absl::string_view();
  // The bytes up to where the file is exactly what would be written.
  int64_t end = 0;
  while (!rest.empty()) {
    const size_t length = rest.find('\n');
    // Torn: the process or the machine ended in the middle of it, and its step has no checkpoint.
    if (length == absl::string_view::npos) break;
    PpoStepRecord record;
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

absl::Status StepLog::Append(const PpoStepRecord& record) {
  const std::string line = LineOf(record);
  MELLOW_RETURN_IF_ERROR(WriteFileAt(path_, end_, line));
  appended_ = end_ + static_cast<int64_t>(line.size());
  return absl::OkStatus();
}

}  // namespace mellow::learner
