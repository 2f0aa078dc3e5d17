#include "services/learner/ppo/step_records.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mellow::learner {
namespace {

TEST(PpoRunFileTest, SettingsAndRecordsSurviveToTheBit) {
  PpoRunFile file;
  file.settings = {"run-1", "{\"lam\":0.95}", "/adapters/a", 3};
  PpoStepRecord record{2,
                       5,
                       "abc",
                       {{"objective/kl", 0.1 + 0.2},
                        {"ppo/std_scores", std::nan("")},
                        {"x", HUGE_VAL},
                        {"y", -HUGE_VAL}},
                       1.5};
  file.records[2] = record;
  const auto read = ParsePpoRunFile(SerializePpoRunFile(file));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->settings.run_id, "run-1");
  EXPECT_EQ(read->settings.config_json, file.settings.config_json);
  EXPECT_EQ(read->settings.start_adapter, "/adapters/a");
  EXPECT_EQ(read->settings.start_version, 3);
  const PpoStepRecord& back = read->records.at(2);
  EXPECT_EQ(back.version, 5);
  EXPECT_EQ(back.sha256, "abc");
  EXPECT_EQ(back.stats.at("objective/kl"), 0.1 + 0.2);
  EXPECT_TRUE(std::isnan(back.stats.at("ppo/std_scores")));
  EXPECT_EQ(back.stats.at("x"), HUGE_VAL);
  EXPECT_EQ(back.stats.at("y"), -HUGE_VAL);
}

TEST(PpoRunFileTest, AForkSurvivesAndIsThereOnlyWhereThereIsOne) {
  PpoRunFile file;
  file.settings = {"run-1-guard1", "{}", "", 7, ForkPoint{"run-1", 3, 9, 0.1}};
  const auto read = ParsePpoRunFile(SerializePpoRunFile(file));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->settings.fork, file.settings.fork);
  file.settings.fork.reset();
  const std::string plain = SerializePpoRunFile(file);
  EXPECT_EQ(plain.find("fork"), std::string::npos);
  EXPECT_FALSE(ParsePpoRunFile(plain)->settings.fork.has_value());
}

TEST(PpoRunFileTest, AnythingElseIsDataLoss) {
  const std::string good =
      SerializePpoRunFile({{"run-1", "{}", "", 0}, {{1, {1, 1, "a", {{"k", 1.0}}, 0.5}}}});
  ASSERT_TRUE(ParsePpoRunFile(good).ok());
  for (size_t length = 0; length + 1 < good.size(); ++length)
    EXPECT_TRUE(absl::IsDataLoss(ParsePpoRunFile(good.substr(0, length)).status())) << length;
  for (const char* text : {"[]", "null", "{\"run_id\":1}", "{}"})
    EXPECT_TRUE(absl::IsDataLoss(ParsePpoRunFile(text).status())) << text;
}

}  // namespace
}  // namespace mellow::learner
