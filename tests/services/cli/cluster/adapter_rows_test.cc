#include "services/cli/cluster/adapter_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace mellow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kRun[] = "run-20240131-115959-deadbeef";

KeptAdapters MakeKept() {
  KeptAdapters kept;
  kept.runs.emplace_back().set_run_id(kRun);
  kept.runs[0].mutable_spec()->set_name("mini");
  const auto add = [&](int64_t version, const char* run, int step, bool files, int64_t promotion) {
    orchestrator::v1::KeptAdapter& adapter = kept.adapters.emplace_back();
    adapter.mutable_adapter()->set_version(version);
    adapter.mutable_adapter()->set_sha256(absl::StrCat(std::string(20, 'a'), version));
    adapter.set_run_id(run);
    adapter.set_step(step);
    adapter.set_has_files(files);
    adapter.set_promotion(promotion);
  };
  add(1, kRun, 0, true, 0);
  add(2, kRun, 1, false, 0);
  add(3, kRun, 2, true, 2);
  add(4, "", 0, true, 1);
  return kept;
}

TEST(AdapterRowsTest, JoinsWhatIsServedWithWhereItComesFrom) {
  const AdapterRows served = {{0, {"", {"policy-0"}, {}}},
                              {3, {"hash3", {"policy-0"}, {"policy-0"}}},
                              {9, {"hash9", {"policy-0"}, {}}}};
  const std::vector<AdapterOrigin> joined = JoinAdapters(served, MakeKept(), /*champion=*/3);
  std::vector<std::string> told;
  for (const AdapterOrigin& each : joined)
    told.push_back(absl::StrCat(each.version, " ", each.run_name, "@", each.step, " ",
                                each.has_files, each.champion, each.newest, " ",
                                each.served.nodes.size()));
  EXPECT_THAT(told, ElementsAre("0 @0 100 1", "1 mini@0 100 0", "2 mini@1 000 0", "3 mini@2 111 1",
                                "4 @0 100 0", "9 @0 000 1"));
}

TEST(AdapterRowsTest, WhatAGuardWithdrewIsNotTheNewest) {
  KeptAdapters kept = MakeKept();
  kept.adapters[2].set_withdrawn(true);
  const std::vector<AdapterOrigin> joined = JoinAdapters({}, kept, /*champion=*/0);
  EXPECT_TRUE(joined[1].newest) << "of step 1";
  EXPECT_FALSE(joined[2].newest);
  EXPECT_THAT(AdaptersText(joined, kept.runs, 1), HasSubstr("promoted withdrawn"));
}

TEST(AdapterRowsTest, TheTableTellsItBelowEightyColumns) {
  const KeptAdapters kept = MakeKept();
  const AdapterRows served = {{0, {"", {"policy-0", "policy-1"}, {}}}};
  const std::string text = AdaptersText(JoinAdapters(served, kept, 3), kept.runs, /*policies=*/2);
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    EXPECT_LT(line.size(), 80u) << line;
  EXPECT_THAT(text, HasSubstr("base model"));
  EXPECT_THAT(text, HasSubstr("run-20240131-115959@1"));
  EXPECT_THAT(text, HasSubstr("gone"));
  EXPECT_THAT(text, HasSubstr("champion newest"));
  EXPECT_THAT(text, HasSubstr("promotion 1"));
  EXPECT_THAT(text, HasSubstr("2/2"));
}

TEST(AdapterRowsTest, JsonHasNullForNoStepAndNoPromotion) {
  const std::string json = json::Write(AdaptersJson(JoinAdapters({}, MakeKept(), 0)));
  EXPECT_THAT(json,
              HasSubstr("\"run_name\":\"mini\",\"step\":1,\"promotion\":null,\"files\":false"));
  EXPECT_THAT(json, HasSubstr("\"step\":null,\"promotion\":1,\"files\":true"));
}

}  // namespace
}  // namespace mellow::cli
