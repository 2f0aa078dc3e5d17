#include "services/cli/train_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;

TEST(TrainRecordTest, ReadsBackWhatWasWritten) {
  const testing::TempFolder folder;
  TrainRecord record = {.request_id = "abc", .reported_step = 4};
  record.spec.set_steps(9);
  record.spec.mutable_ppo()->set_learning_rate(1.41e-5);
  record.spec.mutable_data()->set_path("/d\xC3\xA4ta.jsonl");
  ASSERT_TRUE(WriteTrainRecord(folder.path(), record).ok());
  const auto read = ReadTrainRecord(folder.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request_id, "abc");
  EXPECT_EQ(read->reported_step, 4);
  EXPECT_EQ(SpecDifference(read->spec, record.spec), "");
}

TEST(TrainRecordTest, NoRecordAndADamagedOneAreToldApart) {
  const testing::TempFolder folder;
  EXPECT_EQ(ReadTrainRecord(folder.path()).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomic(folder.path() + "/train.json", "{\"request_id\": 5}").ok());
  EXPECT_EQ(ReadTrainRecord(folder.path()).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SpecDifferenceTest, NamesTheFieldThatDiffers) {
  orchestrator::v1::RunSpec a;
  orchestrator::v1::RunSpec b;
  b.mutable_ppo()->set_vf_coef(0.5);
  EXPECT_THAT(SpecDifference(a, b), HasSubstr("vf_coef"));
}

}  // namespace
}  // namespace mellow::cli
