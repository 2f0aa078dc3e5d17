#include "services/cli/evaluate/evaluation_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "services/cli/terminal/json_lines.h"

namespace mellow::cli {
namespace {

std::string Header(const std::string& config_sha256) {
  return json::Write(json::Value{{"config", config_sha256}}) + "\n";
}

}  // namespace

absl::StatusOr<std::unique_ptr<EvaluationJournal>> EvaluationJournal::Open(
    const std::string& folder, const std::string& config_sha256, bool fresh) {
  MELLOW_RETURN_IF_ERROR(MakeFolders(folder));
  std::string path = absl::StrCat(folder, "/rows.jsonl");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, path);
  auto journal = std::unique_ptr<EvaluationJournal>(new EvaluationJournal(std::move(path), fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, journal->path_);
    return absl::FailedPreconditionError(
        absl::StrCat(journal->path_, ": another `mellow evaluate` is writing it"));
  }
  MELLOW_RETURN_IF_ERROR(journal->Read(config_sha256, fresh));
  MELLOW_RETURN_IF_ERROR(SyncFolder(folder));
  return journal;
}

EvaluationJournal::~EvaluationJournal() { close(fd_); }

absl::Status EvaluationJournal::Read(const std::string& config_sha256, bool fresh) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path_));
  const size_t end = text.rfind('\n');
  const size_t whole = fresh || end == std::string::npos ? 0 : end + 1;
  if (whole < text.size() && ftruncate(fd_, static_cast<off_t>(whole)) != 0)
    return ErrnoStatus(errno, path_);
  if (whole == 0) return WriteSynced(fd_, path_, Header(config_sha256));
  const std::vector<absl::string_view> lines =
      absl::StrSplit(absl::string_view(text).substr(0, whole - 1), '\n');
  if (absl::StrCat(lines[0], "\n") != Header(config_sha256)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_,
                     ": holds rows of another configuration (other data, arms, judges, sampling or "
                     "statistics); choose another --out, or --fresh to begin anew"));
  }
  for (size_t i = 1; i < lines.size(); ++i) {
    absl::StatusOr<eval::PromptRow> row = eval::RowFromJson(lines[i]);
    if (!row.ok()) {
      return absl::DataLossError(
          absl::StrCat(path_, ":", i + 1, ": ", row.status().message(), "; --fresh begins anew"));
    }
    rows_.push_back(*std::move(row));
  }
  return absl::OkStatus();
}

absl::Status EvaluationJournal::Append(absl::Span<const eval::PromptRow> rows) {
  std::string text;
  for (const eval::PromptRow& row : rows) absl::StrAppend(&text, eval::RowToJson(row), "\n");
  MutexLock lock(&mutex_);
  return WriteSynced(fd_, path_, text);
}

}  // namespace mellow::cli
