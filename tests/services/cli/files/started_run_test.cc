#include "services/cli/files/started_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"
#include "services/cli/files/spec_message.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;

TEST(StartedRunTest, ReadsBackWhatWasWritten) {
  const testing::TempFolder folder;
  StartedRun record = {.request_id = "abc", .reported_step = 4};
  record.spec.set_steps(9);
  record.spec.mutable_ppo()->set_learning_rate(1.41e-5);
  record.spec.mutable_data()->set_path("/d\xC3\xA4ta.jsonl");
  ASSERT_TRUE(WriteStartedRun(folder / "train.json", record).ok());
  const auto read = ReadStartedRun(folder / "train.json");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request_id, "abc");
  EXPECT_EQ(read->reported_step, 4);
  EXPECT_EQ(SpecDifference(read->spec, record.spec), "");
}

TEST(StartedRunTest, NoRecordAndADamagedOneAreToldApart) {
  const testing::TempFolder folder;
  EXPECT_EQ(ReadStartedRun(folder / "train.json").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomic(folder.path() + "/train.json", "{\"request_id\": 5}").ok());
  EXPECT_EQ(ReadStartedRun(folder / "train.json").status().code(), absl::StatusCode::kDataLoss);
}

TEST(StartedRunTest, RunsOfTwoMethodsHaveTwoRecords) {
  orchestrator::v1::RunSpec ppo, sft;
  ppo.mutable_ppo();
  sft.mutable_sft();
  EXPECT_NE(StartedRunPath("/x", ppo), StartedRunPath("/x", sft));
  EXPECT_EQ(StartedRunPath("/x", ppo), StartedRunPath("/x", {})) << "PPO without its settings";
}

TEST(SpecDifferenceTest, NamesTheFieldThatDiffers) {
  orchestrator::v1::RunSpec a;
  orchestrator::v1::RunSpec b;
  b.mutable_ppo()->set_vf_coef(0.5);
  EXPECT_THAT(SpecDifference(a, b), HasSubstr("vf_coef"));
}

}  // namespace
}  // namespace mellow::cli
