#include "common/review/study.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/data/shuffle.h"

namespace mellow::review {
namespace {

constexpr uint64_t kChoiceEpoch = 0;

absl::StatusOr<size_t> FindArm(const eval::Evaluation& evaluation, const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < evaluation.arms.size(); ++i) {
    if (evaluation.arms[i].name == name) return i;
    names.push_back(evaluation.arms[i].name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no arm '", name, "' in the evaluation; it has ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::pair<size_t, size_t>> ChooseArms(const eval::Evaluation& evaluation,
                                                     const StudyOptions& options) {
  if (options.baseline.empty() && options.arm.empty()) {
    if (evaluation.arms.size() == 2) return std::pair<size_t, size_t>(0, 1);
    return absl::InvalidArgumentError(absl::StrCat("the evaluation has ", evaluation.arms.size(),
                                                   " arms; name the two that people compare"));
  }
  MELLOW_ASSIGN_OR_RETURN(const size_t baseline, FindArm(evaluation, options.baseline));
  MELLOW_ASSIGN_OR_RETURN(const size_t arm, FindArm(evaluation, options.arm));
  if (baseline == arm)
    return absl::InvalidArgumentError(absl::StrCat("arm '", options.arm, "' against itself"));
  return std::pair(baseline, arm);
}

}  // namespace

absl::StatusOr<Study> MakeStudy(const eval::Evaluation& evaluation, const StudyOptions& options) {
  if (!(options.overlap >= 0 && options.overlap <= 1))
    return absl::InvalidArgumentError(absl::StrCat("overlap ", options.overlap, ": 0 to 1"));
  if (options.items < 0)
    return absl::InvalidArgumentError(absl::StrCat("items ", options.items, ": 0 (all) or more"));
  MELLOW_ASSIGN_OR_RETURN(const auto arms, ChooseArms(evaluation, options));
  const eval::Arm& baseline = evaluation.arms[arms.first];
  const eval::Arm& arm = evaluation.arms[arms.second];
  Study study;
  study.info = {.name = evaluation.config.name,
                .evaluation_sha256 = evaluation.config.sha256,
                .baseline = baseline.name,
                .arm = arm.name,
                .baseline_sha256 = baseline.sha256,
                .arm_sha256 = arm.sha256,
                .seed = options.seed};
  std::vector<StudyItem> rows;
  for (const eval::PromptRow& row : evaluation.rows) {
    if (row.arms[arms.first].samples.empty() || row.arms[arms.second].samples.empty())
      return absl::InvalidArgumentError(absl::StrCat("row ", row.index, " has no summaries"));
    StudyItem item = {.row = row.index,
                      .dialogue = row.dialogue,
                      .baseline = row.arms[arms.first].samples[0].summary,
                      .arm = row.arms[arms.second].samples[0].summary};
    if (item.baseline == item.arm) {
      ++study.info.equal_pairs;
    } else {
      rows.push_back(std::move(item));
    }
  }
  const int64_t wanted = options.items == 0 ? static_cast<int64_t>(rows.size()) : options.items;
  if (rows.empty() || wanted > static_cast<int64_t>(rows.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat(wanted == 0 ? 1 : wanted, " items wanted, but the evaluation has ",
                     rows.size(), " rows whose two summaries differ (", study.info.equal_pairs,
                     " others are the same in both arms)"));
  }
  const std::vector<uint32_t> order =
      data::Permutation(options.seed, kChoiceEpoch, static_cast<uint32_t>(rows.size()));
  const int64_t shared = std::llround(options.overlap * static_cast<double>(wanted));
  for (int64_t i = 0; i < wanted; ++i) {
    study.items.push_back(std::move(rows[order[i]]));
    study.items.back().shared = i < shared;
  }
  return study;
}

}  // namespace mellow::review
