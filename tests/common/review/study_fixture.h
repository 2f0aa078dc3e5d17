#ifndef MELLOW_TESTS_COMMON_REVIEW_STUDY_FIXTURE_H_
#define MELLOW_TESTS_COMMON_REVIEW_STUDY_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/review/study_store.h"
#include "tests/testing/temp_folder.h"

namespace mellow::review {

// Items "dialogue 0", ...; the first `shared` of them are rated by everybody.
inline Study MakeItems(int items, int shared, uint64_t seed = 7) {
  Study study;
  study.info = {.name = "mini",
                .evaluation_sha256 = "c0",
                .baseline = "base",
                .arm = "polite",
                .arm_sha256 = "ab",
                .seed = seed,
                .equal_pairs = 3};
  for (int i = 0; i < items; ++i) {
    study.items.push_back({.row = 100 + i,
                           .shared = i < shared,
                           .dialogue = absl::StrCat("dialogue ", i),
                           .baseline = absl::StrCat("baseline ", i),
                           .arm = absl::StrCat("arm ", i)});
  }
  return study;
}

// A study file and the server's view of it.
class StudyFile {
 public:
  StudyFile(const Study& study, const std::vector<std::string>& names) {
    auto made = StudyStore::Create(path(), study, names);
    EXPECT_TRUE(made.ok()) << made.status();
    invitations = *std::move(made);
    Reopen();
  }
  void Reopen() {
    store.reset();
    auto opened = StudyStore::Open(path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
  }
  std::string path() const { return folder_ / "study.sqlite"; }
  int64_t Person(size_t index) { return store->Authenticate(invitations[index].token).value(); }

  // Gives the answers of one item in the order of AllQuestions().
  void Judge(int64_t person, int64_t position, const std::vector<int>& values) {
    for (size_t q = 0; q < values.size(); ++q) {
      const auto saved =
          store->Save(person,
                      {.position = position,
                       .question = AllQuestions()[q],
                       .answer = {.value = values[q], .version = {.sequence = 1, .client = "t"}}},
                      absl::FromUnixSeconds(1700000000));
      ASSERT_TRUE(saved.ok()) << saved.status();
    }
  }

  std::vector<Invitation> invitations;
  std::unique_ptr<StudyStore> store;

 private:
  testing::TempFolder folder_;
};

}  // namespace mellow::review

#endif  // MELLOW_TESTS_COMMON_REVIEW_STUDY_FIXTURE_H_
