#include "services/learner/base/step_log.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "services/learner/ppo/step_records.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using PpoLog = StepLog<PpoStepRecord>;

PpoStepRecord MakeRecord(int64_t step, double kl = 0.5) {
  return {step, step + 10, absl::StrCat("hash", step), {{"objective/kl", kl}}, 1.5};
}

class StepLogTest : public ::testing::Test {
 protected:
  // The log as the checkpoint of `last` finds it.
  PpoLog Open(int64_t last) {
    std::map<int64_t, PpoStepRecord> known;
    if (last > 0) known[last] = MakeRecord(last);
    return OpenWith(known);
  }
  PpoLog OpenWith(const std::map<int64_t, PpoStepRecord>& known) {
    auto log = PpoLog::Open(path_, known, &records_, &damaged_);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }
  void Write(int64_t steps) {
    PpoLog log = Open(0);
    for (int64_t step = 1; step <= steps; ++step) {
      ASSERT_TRUE(log.Append({MakeRecord(step)}).ok());
      log.Accept();
    }
  }
  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const auto& [step, record] : records_) {
      EXPECT_EQ(record.version, step + 10);
      EXPECT_EQ(record.stats.at("objective/kl"), 0.5) << step;
      steps.push_back(step);
    }
    return steps;
  }

  testing::TempFolder folder_;
  const std::string path_ = folder_ / "steps.jsonl";
  std::map<int64_t, PpoStepRecord> records_;
  int64_t damaged_ = 0;
};

using Numbers = std::vector<int64_t>;

TEST_F(StepLogTest, WhatWasAppendedIsReadBack) {
  Write(3);
  Open(3);
  EXPECT_EQ(Steps(), (Numbers{1, 2, 3}));
  EXPECT_EQ(damaged_, 0);
}

TEST_F(StepLogTest, AStepCostsTheSameHoweverManyCameBefore) {
  Write(50);
  const auto before = std::filesystem::file_size(path_);
  PpoLog log = Open(50);
  ASSERT_TRUE(log.Append({MakeRecord(51)}).ok());
  const auto one = std::filesystem::file_size(path_) - before;
  EXPECT_LT(one, 2 * before / 50);
}

TEST_F(StepLogTest, LinesBeyondTheCheckpointAreWrittenOver) {
  Write(5);
  PpoLog log = Open(3);
  EXPECT_EQ(Steps(), (Numbers{1, 2, 3}));
  ASSERT_TRUE(log.Append({MakeRecord(4)}).ok());
  log.Accept();
  Open(4);
  EXPECT_EQ(Steps(), (Numbers{1, 2, 3, 4}));
}

TEST_F(StepLogTest, ALineThatWasNotAcceptedIsWrittenOver) {
  Write(2);
  PpoLog log = Open(2);
  ASSERT_TRUE(log.Append({MakeRecord(3, /*kl=*/7)}).ok());
  ASSERT_TRUE(log.Append({MakeRecord(3)}).ok());
  log.Accept();
  Open(3);
  EXPECT_EQ(Steps(), (Numbers{1, 2, 3}));
}

TEST_F(StepLogTest, ATornLastLineIsWrittenOverAtEveryLength) {
  Write(3);
  const std::string whole = *ReadFile(path_);
  const size_t third = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t length = third; length < whole.size(); ++length) {
    ASSERT_TRUE(WriteFileAtomic(path_, whole.substr(0, length)).ok());
    PpoLog log = Open(2);
    EXPECT_EQ(Steps(), (Numbers{1, 2})) << length;
    ASSERT_TRUE(log.Append({MakeRecord(3)}).ok());
    EXPECT_EQ(*ReadFile(path_), whole) << length;
  }
}

TEST_F(StepLogTest, TheCheckpointsOwnRecordIsAddedWhenItsLineIsLost) {
  Write(3);
  const std::string whole = *ReadFile(path_);
  ASSERT_TRUE(WriteFileAtomic(path_, whole.substr(0, whole.size() - 5)).ok());
  Open(3);
  EXPECT_EQ(Steps(), (Numbers{1, 2, 3}));
  EXPECT_EQ(*ReadFile(path_), whole);
}

TEST_F(StepLogTest, ADamagedLineIsLeftOutAndCounted) {
  Write(3);
  std::string text = *ReadFile(path_);
  text[text.find("hash2")] = 'H';
  ASSERT_TRUE(WriteFileAtomic(path_, text).ok());
  Open(3);
  EXPECT_EQ(Steps(), (Numbers{1, 3}));
  EXPECT_EQ(damaged_, 1);
  Open(3);
  EXPECT_EQ(damaged_, 0) << "it was removed";
}

TEST_F(StepLogTest, AllRecordsOfAnOldCheckpointGoIntoIt) {
  OpenWith({{1, MakeRecord(1)}, {2, MakeRecord(2)}});
  EXPECT_EQ(Steps(), (Numbers{1, 2}));
  Open(2);
  EXPECT_EQ(Steps(), (Numbers{1, 2}));
}

}  // namespace
}  // namespace mellow::learner
