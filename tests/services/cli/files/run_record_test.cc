#include "services/cli/files/run_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "mellow/learner/v1/sft_spec.pb.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"
#include "services/cli/files/spec_message.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;

TEST(RunRecordTest, ReadsBackWhatWasWritten) {
  const testing::TempFolder folder;
  RunRecord<orchestrator::v1::RunSpec> record = {.request_id = "abc", .reported_step = 4};
  record.spec.set_steps(9);
  record.spec.mutable_ppo()->set_learning_rate(1.41e-5);
  record.spec.mutable_data()->set_path("/d\xC3\xA4ta.jsonl");
  ASSERT_TRUE(WriteRunRecord(folder / "train.json", record).ok());
  const auto read = ReadRunRecord<orchestrator::v1::RunSpec>(folder / "train.json");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request_id, "abc");
  EXPECT_EQ(read->reported_step, 4);
  EXPECT_EQ(SpecDifference(read->spec, record.spec), "");
}

TEST(RunRecordTest, NoRecordAndADamagedOneAreToldApart) {
  const testing::TempFolder folder;
  EXPECT_EQ(ReadRunRecord<orchestrator::v1::RunSpec>(folder / "train.json").status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomic(folder.path() + "/train.json", "{\"request_id\": 5}").ok());
  EXPECT_EQ(ReadRunRecord<orchestrator::v1::RunSpec>(folder / "train.json").status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(RunRecordTest, ARecordOfAnotherKindOfRunIsDamaged) {
  const testing::TempFolder folder;
  RunRecord<learner::v1::SftSpec> record = {.request_id = "abc"};
  record.spec.set_batch_size(3);
  ASSERT_TRUE(WriteRunRecord(folder / "sft.json", record).ok());
  EXPECT_TRUE(ReadRunRecord<learner::v1::SftSpec>(folder / "sft.json").ok());
  EXPECT_EQ(ReadRunRecord<orchestrator::v1::RunSpec>(folder / "sft.json").status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(SpecDifferenceTest, NamesTheFieldThatDiffers) {
  orchestrator::v1::RunSpec a;
  orchestrator::v1::RunSpec b;
  b.mutable_ppo()->set_vf_coef(0.5);
  EXPECT_THAT(SpecDifference(a, b), HasSubstr("vf_coef"));
}

}  // namespace
}  // namespace mellow::cli
