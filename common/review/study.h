#ifndef MELLOW_COMMON_REVIEW_STUDY_H_
#define MELLOW_COMMON_REVIEW_STUDY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "common/review/answer.h"

namespace mellow::review {

struct StudyInfo {
  std::string name;               // the evaluation's
  std::string evaluation_sha256;  // EvaluationConfig::sha256
  std::string baseline;           // eval::Arm::name
  std::string arm;
  std::string baseline_sha256;  // eval::Arm::sha256
  std::string arm_sha256;
  uint64_t seed = 0;              // of the choice of items, orders and sides
  int64_t equal_pairs = 0;        // rows of the evaluation left out: both summaries are the same
  size_t questions = kQuestions;  // asked of each item: the first of AllQuestions()
};

struct StudyItem {
  int64_t row = 0;  // eval::PromptRow::index
  bool shared = false;
  std::string dialogue;
  std::string baseline;  // summary
  std::string arm;       // summary
};

struct Study {
  StudyInfo info;
  std::vector<StudyItem> items;
};

struct StudyOptions {
  // Names of arms; both empty: the two that the evaluation has.
  std::string baseline;
  std::string arm;
  int64_t items = 0;     // 0: all
  double overlap = 0.2;  // share of the items that everybody rates
  uint64_t seed = 0;
};

// Chooses the items at random among the rows whose two summaries (sample 0) differ: nobody can
// prefer one of two equal texts. InvalidArgument: an option is out of range or names no arm; more
// than two arms and none named; fewer rows than items; no row.
[[nodiscard]] absl::StatusOr<Study> MakeStudy(const eval::Evaluation& evaluation,
                                              const StudyOptions& options);

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_STUDY_H_
