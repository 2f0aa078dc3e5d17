#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_JOURNAL_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_JOURNAL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/eval/evaluation.h"
#include "common/sync/mutex.h"

namespace mellow::cli {

// OUT/rows.jsonl: the rows that an evaluation has finished, so that it goes on where it was
// interrupted. The first line names the configuration, each other one is a row (eval::RowToJson).
// What Append has returned for survives a crash of the machine; a last line that was cut off is
// dropped when the file is opened again. Append is thread-safe.
class EvaluationJournal {
 public:
  // Makes folder and file where they are not there. FailedPrecondition: the file is of another
  // configuration (`fresh` empties it instead), or another process writes it. DataLoss: a line that
  // is no row.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<EvaluationJournal>> Open(
      const std::string& folder, const std::string& config_sha256, bool fresh);
  ~EvaluationJournal();
  EvaluationJournal(const EvaluationJournal&) = delete;
  EvaluationJournal& operator=(const EvaluationJournal&) = delete;

  // Those that were there, in the file's order.
  [[nodiscard]] std::vector<eval::PromptRow> TakeRows() { return std::move(rows_); }
  [[nodiscard]] absl::Status Append(absl::Span<const eval::PromptRow> rows);

 private:
  EvaluationJournal(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status Read(const std::string& config_sha256, bool fresh);

  const std::string path_;
  const int fd_;
  std::vector<eval::PromptRow> rows_;
  Mutex mutex_;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_JOURNAL_H_
