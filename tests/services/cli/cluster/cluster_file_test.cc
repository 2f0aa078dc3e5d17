#include "services/cli/cluster/cluster_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;

TEST(ClusterFileTest, ReadsBackWhatWasWritten) {
  const testing::TempFolder folder;
  ClusterFile file = {.supervisor_pid = 12};
  file.services.push_back({"policy-0", "policy", 34, "127.0.0.1:5", "http://127.0.0.1:6/metrics",
                           "/l/policy-0.log", 2});
  ASSERT_TRUE(WriteClusterFile(folder.path(), file).ok());
  const auto read = ReadClusterFile(folder.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->supervisor_pid, 12);
  ASSERT_EQ(read->services.size(), 1U);
  EXPECT_EQ(read->services[0].name, "policy-0");
  EXPECT_EQ(read->services[0].pid, 34);
  EXPECT_EQ(read->services[0].metrics, "http://127.0.0.1:6/metrics");
  EXPECT_EQ(read->services[0].restarts, 2);
  EXPECT_EQ(ServicesOfRole(folder.path(), "policy")->size(), 1U);
  EXPECT_EQ(ServicesOfRole(folder.path(), "reward").status().code(), absl::StatusCode::kNotFound);
}

TEST(ClusterFileTest, NoClusterAndADamagedFileAreToldApart) {
  const testing::TempFolder folder;
  const absl::Status none = ReadClusterFile(folder.path()).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.message()), HasSubstr("mellow up"));
  for (const char* text : {"", "[]", "{\"services\": 1}", "{\"services\": [], \"supervisor\": 3}",
                           "{\"services\": [{}], \"supervisor\": {\"pid\": 1}}"}) {
    ASSERT_TRUE(WriteFileAtomic(folder.path() + "/cluster.json", text).ok());
    EXPECT_EQ(ReadClusterFile(folder.path()).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

// In a process of its own: what ConnectTo says holds for the whole process.
TEST(ClusterFileDeathTest, ConnectToReplacesEveryFoldersCluster) {
  const testing::TempFolder folder;
  EXPECT_EXIT(
      {
        bool good =
            !Connected() &&
            ConnectTo("orchestrator=orchestrator:50051, policy=policy:50051,policy=[::1]:2").ok() &&
            Connected();
        const auto policies = ServicesOfRole(folder.path(), "policy");
        good = good && policies.ok() && policies->size() == 2 &&
               (*policies)[0].address == "policy:50051" && (*policies)[0].name == "policy" &&
               (*policies)[1].address == "[::1]:2" && (*policies)[1].name == "policy-1";
        const absl::Status none = ServicesOfRole(folder.path(), "reward").status();
        good = good && absl::IsNotFound(none) && absl::StrContains(none.message(), "--connect");
        std::exit(good ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(ClusterFileTest, ConnectToNamesWhatIsWrong) {
  for (const char* text : {"", ",", "policy", "policy=", "policy=host", "policy=:1", "policy=h:0",
                           "policy=h:65536", "polizei=h:1", "policy=h:1;reward=h:2"}) {
    const absl::Status status = ConnectTo(text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--connect"));
  }
  EXPECT_FALSE(Connected());
}

}  // namespace
}  // namespace mellow::cli
