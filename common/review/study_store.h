#ifndef MELLOW_COMMON_REVIEW_STUDY_STORE_H_
#define MELLOW_COMMON_REVIEW_STUDY_STORE_H_

// A review study in one SQLite file: items, who is invited, who rates what, and the answers.
// Several processes may have it open (the server, and `mellow review` beside it).
//
// Codes besides those of common/sqlite (Unavailable: locked, try again; DataLoss: corrupt):
//   NotFound: no such annotator or position.  InvalidArgument: a value is out of range.
//   FailedPrecondition: the file is no review study, or one of another version.
//   AlreadyExists: the file, or an annotator's name.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/review/answer.h"
#include "common/review/assignment.h"
#include "common/review/study.h"
#include "common/sqlite/sqlite.h"
#include "common/sync/mutex.h"

namespace mellow::review {

struct Invitation {
  std::string annotator;
  std::string token;  // shown once: only its hash is in the file
};

struct AnnotatorStatus {
  std::string name;
  bool revoked = false;
  int64_t assigned = 0;
  int64_t judged = 0;      // complete
  int64_t unfinished = 0;  // begun
  absl::Time last_save = absl::InfinitePast();
};

// What the page shows: no word about arms.
struct ShownItem {
  std::string dialogue;
  std::string first;   // summary
  std::string second;  // summary
};

struct SaveRequest {
  int64_t position = 0;
  Question question = Question::kPreference;
  Answer answer;
};

// One annotator's answers to one item, for exports and statistics.
struct ReviewedItem {
  std::string annotator;
  int64_t position = 0;
  int64_t item = 0;  // index of the study's item
  int64_t row = 0;   // eval::PromptRow::index
  bool shared = false;
  bool arm_first = false;
  Sheet sheet;
  size_t questions = kQuestions;  // that the study asks
  [[nodiscard]] bool complete() const { return sheet.complete(questions); }
  absl::Time saved = absl::InfinitePast();  // the last of its answers
};

// Thread-safe.
class StudyStore {
 public:
  // Writes a new study, whole or not at all, and invites the annotators.
  [[nodiscard]] static absl::StatusOr<std::vector<Invitation>> Create(
      const std::string& path, const Study& study, absl::Span<const std::string> annotators);
  // Checks the file's integrity. `path` must exist. A file of an earlier schema is read and goes on
  // as it is, with the questions that it was made with.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<StudyStore>> Open(const std::string& path);

  // For the page. An annotator is the number that Authenticate gives.

  // NotFound: the token is unknown or was revoked. Compares in constant time.
  [[nodiscard]] absl::StatusOr<int64_t> Authenticate(absl::string_view token);
  // By position, from 0.
  [[nodiscard]] absl::StatusOr<std::vector<Sheet>> Sheets(int64_t annotator);
  [[nodiscard]] absl::StatusOr<ShownItem> ReadItem(int64_t annotator, int64_t position);
  // Stores the answer unless a newer version of it is there, and returns the one that is stored
  // then. Durable when it returns; may be repeated.
  [[nodiscard]] absl::StatusOr<Answer> Save(int64_t annotator, const SaveRequest& request,
                                            absl::Time now);

  // How many questions each item has: the first of AllQuestions().
  [[nodiscard]] size_t questions() const { return questions_; }

  // For `mellow review`.

  [[nodiscard]] absl::StatusOr<StudyInfo> Info();
  [[nodiscard]] absl::StatusOr<std::vector<StudyItem>> Items();
  [[nodiscard]] absl::StatusOr<std::vector<AnnotatorStatus>> Annotators();
  // New annotators get all shared items, and of the others their part of those that fewest people
  // have. Items of a revoked annotator that were not judged count as nobody's.
  [[nodiscard]] absl::StatusOr<std::vector<Invitation>> Invite(
      absl::Span<const std::string> annotators);
  // A new token for somebody who is invited; the old one stops working, the answers stay.
  [[nodiscard]] absl::StatusOr<Invitation> Renew(const std::string& annotator);
  // The token stops working; the answers stay.
  [[nodiscard]] absl::Status Revoke(const std::string& annotator);
  // Items with at least one answer, by annotator and position.
  [[nodiscard]] absl::StatusOr<std::vector<ReviewedItem>> Reviewed();

 private:
  explicit StudyStore(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}

  absl::Status WriteStudy(const Study& study) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<Invitation>> InviteLocked(absl::Span<const std::string> annotators)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<ItemCoverage>> Coverage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> AddAnnotator(const std::string& name, const std::string& token)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::string> Meta(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<uint64_t> MetaNumber(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SetToken(const std::string& annotator, absl::string_view hash)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  size_t questions_ = kQuestions;  // not changed after Open

  Mutex mutex_;
  const std::unique_ptr<sqlite::Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_STUDY_STORE_H_
