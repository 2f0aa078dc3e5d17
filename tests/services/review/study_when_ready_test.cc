#include "services/review/study_when_ready.h"

#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/common/review/study_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::review {
namespace {

http::Response Get(StudyWhenReady& study, const std::string& path) {
  return study.Handle({.method = "GET", .path = path});
}

TEST(StudyWhenReadyTest, WaitsForTheFileAndThenServesIt) {
  const testing::TempFolder folder;
  const std::string path = folder / "study.sqlite";
  obs::Metrics metrics;
  StudyWhenReady study(path, {}, &metrics);
  EXPECT_EQ(study.Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Get(study, "/healthz").status, 200);
  EXPECT_EQ(Get(study, "/r/token").status, 503);
  EXPECT_EQ(Get(study, "/r/token").headers.count("retry-after"), 1U);
  const auto invitations =
      StudyStore::Create(path, MakeItems(2, 2), std::vector<std::string>{"Ada"});
  ASSERT_TRUE(invitations.ok()) << invitations.status();
  EXPECT_EQ(Get(study, "/r/" + (*invitations)[0].token).status, 200);
  EXPECT_EQ(Get(study, "/r/token").status, 404);
  EXPECT_EQ(Get(study, "/healthz").body, "ok\n");
  EXPECT_TRUE(study.Open().ok());
}

TEST(StudyWhenReadyTest, AFileThatIsNoStudyIsNotWaitedFor) {
  const testing::TempFolder folder;
  const std::string path = folder / "study.sqlite";
  ASSERT_TRUE(WriteFileAtomic(path, "not a study").ok());
  obs::Metrics metrics;
  StudyWhenReady study(path, {}, &metrics);
  EXPECT_FALSE(study.Open().ok());
  EXPECT_NE(study.Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Get(study, "/healthz").status, 503);
}

}  // namespace
}  // namespace mellow::review
