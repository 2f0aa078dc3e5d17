#include "common/data/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/data/needed_columns.h"

namespace mellow::data {
namespace describe_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Dataset MakeDataset() {
  return Dataset("d.csv", {"dialogue"},
                 {{1, {"a"}}, {2, {" \t\n"}}, {4, {"b\u00e9"}}, {7, {"a"}}, {8, {""}}, {9, {"a"}}});
}

TEST(DescribeTest, FindsEmptyAndRepeatedRowsByLine) {
  const Dataset dataset = MakeDataset();
  EXPECT_THAT(EmptyRows(dataset, 0), ElementsAre(2, 8));
  const std::vector<Duplicate> duplicates = DuplicateRows(dataset, 0);
  ASSERT_EQ(duplicates.size(), 2u);
  EXPECT_EQ(duplicates[0].line, 7);
  EXPECT_EQ(duplicates[1].line, 9);
  EXPECT_EQ(duplicates[1].first_line, 1);
  EXPECT_THAT(CharacterLengths(dataset, 0), ElementsAre(1, 3, 2, 1, 0, 1));
}

TEST(NeededColumnsTest, ErrorsNameTheFieldOrTheLines) {
  const absl::Status empty = CheckNotEmpty("data.path", MakeDataset(), "dialogue");
  EXPECT_THAT(
      std::string(empty.message()),
      HasSubstr("data.path: d.csv: 2 rows have nothing in column \"dialogue\" (line 2, 8)"));
  EXPECT_THAT(std::string(TemplateColumns("data.prompt_template", "no column").status().message()),
              HasSubstr("data.prompt_template"));
  EXPECT_EQ(TemplateColumns("t", "{a} {b} {a}")->size(), 2u);
}

}  // namespace describe_test
}  // namespace mellow::data
