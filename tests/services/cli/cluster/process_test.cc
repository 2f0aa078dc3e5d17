#include "services/cli/cluster/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/steady_time.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

pid_t MustSpawn(const testing::TempFolder& folder, const std::string& script) {
  const auto pid = Spawn({.arguments = {"/bin/sh", "-c", script},
                          .cluster = folder.path(),
                          .log = folder.path() + "/log"});
  EXPECT_TRUE(pid.ok()) << pid.status();
  return pid.value_or(-1);
}

TEST(ProcessTest, FindsAndStopsOnlyWhatCarriesTheMark) {
  const testing::TempFolder mine;
  const testing::TempFolder other;
  const pid_t a = MustSpawn(mine, "exec sleep 1000");
  const pid_t b = MustSpawn(other, "exec sleep 1000");
  EXPECT_THAT(FindMarked(mine.path()), ElementsAre(a));
  EXPECT_TRUE(IsMarked(a, mine.path()));
  EXPECT_FALSE(IsMarked(b, mine.path()));
  StopMarked({a, b}, mine.path(), absl::Seconds(30));
  int status = 0;
  EXPECT_EQ(waitpid(a, &status, 0), a);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
  EXPECT_EQ(waitpid(b, &status, WNOHANG), 0) << "the other cluster's process must live";
  EXPECT_THAT(FindMarked(mine.path()), IsEmpty());
  StopMarked({b}, other.path(), absl::Seconds(30));
  EXPECT_EQ(waitpid(b, &status, 0), b);
}

// Its memory is new and its environment not there yet while exec() is at work.
TEST(ProcessTest, IsMarkedFromTheMomentItWasSpawned) {
  const testing::TempFolder folder;
  for (int i = 0; i < 200; ++i) {
    const pid_t pid = MustSpawn(folder, "exec sleep 1000");
    EXPECT_TRUE(IsMarked(pid, folder.path())) << "attempt " << i;
    kill(pid, SIGKILL);
    EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  }
}

TEST(ProcessTest, AProcessWithoutEnvironmentIsNotMarked) {
  const testing::TempFolder folder;
  const pid_t pid = MustSpawn(folder, "exec env -i /bin/sh -c 'echo ready; read x < /dev/zero'");
  while (ReadFile(folder.path() + "/log").value_or("").find("ready") == std::string::npos)
    sched_yield();
  const SteadyTime begin = SteadyTime::Now();
  EXPECT_FALSE(IsMarked(pid, folder.path()));
  EXPECT_LT(SteadyTime::Now() - begin, absl::Milliseconds(500))
      << "it is not taken for one in exec()";
  kill(pid, SIGKILL);
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
}

TEST(ProcessTest, AZombieIsNotMarked) {
  const testing::TempFolder folder;
  const pid_t pid = MustSpawn(folder, "exit 0");
  siginfo_t ended = {};
  ASSERT_EQ(waitid(P_PID, pid, &ended, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(IsMarked(pid, folder.path()));
  EXPECT_THAT(FindMarked(folder.path()), IsEmpty());
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
}

TEST(ProcessTest, WhatIgnoresTheSignalIsKilled) {
  const testing::TempFolder folder;
  // The shell says when it ignores SIGTERM.
  const pid_t pid =
      MustSpawn(folder, "trap '' TERM; echo ready; while :; do read x < /dev/zero; done");
  while (ReadFile(folder.path() + "/log").value_or("").find("ready") == std::string::npos)
    sched_yield();
  StopMarked({pid}, folder.path(), absl::Milliseconds(10));
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(ProcessTest, OutputGoesToTheLog) {
  const testing::TempFolder folder;
  const pid_t pid = MustSpawn(folder, "echo out; echo err >&2");
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  EXPECT_EQ(ReadFile(folder.path() + "/log").value_or(""), "out\nerr\n");
}

TEST(ProcessTest, AMissingProgramIsNamed) {
  const testing::TempFolder folder;
  const auto pid = Spawn(
      {.arguments = {"/no/such/program"}, .cluster = folder.path(), .log = folder.path() + "/log"});
  EXPECT_EQ(pid.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(pid.status().message()), ::testing::HasSubstr("/no/such/program"));
}

}  // namespace
}  // namespace mellow::cli
