// The row counts of the notebook's run, on the real data set.

#include <filesystem>

#include "common/base/file.h"
#include "common/data/dataset.h"
#include "common/data/select.h"
#include "gtest/gtest.h"
#include "tests/testing/outside_data.h"

namespace mellow::data {
namespace {

const std::string kTrain = mellow::OutsideData("/dialogsum/dialogsum.train.jsonl");

TEST(DialogSumTest, FilterAndSplitKeepTheRowsOfTheNotebook) {
  if (!std::filesystem::exists(kTrain)) GTEST_SKIP() << "no DialogSum at " << kTrain;
  const auto dataset =
      ParseDataset(*ReadFile(kTrain), kTrain, {.columns = {"dialogue", "summary"}});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->rows().size(), 12460u);
  const auto kept =
      FilterByLength(*dataset, {.column = "dialogue", .min_chars = 200, .max_chars = 1000});
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->rows().size(), 10022u);
  const auto split = SplitInOrder(*kept, 0.8);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->train.rows().size(), 8017u);
  EXPECT_EQ(split->test.rows().size(), 2005u);
}

}  // namespace
}  // namespace mellow::data
