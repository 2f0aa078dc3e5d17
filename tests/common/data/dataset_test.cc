#include "common/data/dataset.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::data {
namespace dataset_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Dataset Parse(absl::string_view bytes, const std::string& name, const ReadOptions& options = {}) {
  absl::StatusOr<Dataset> dataset = ParseDataset(bytes, name, options);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return dataset.ok() ? *std::move(dataset) : Dataset("", {}, {});
}

std::string ErrorOf(absl::string_view bytes, const std::string& name,
                    const ReadOptions& options = {}) {
  const absl::StatusOr<Dataset> dataset = ParseDataset(bytes, name, options);
  EXPECT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(dataset.status().message());
}

TEST(JsonlTest, KeepsTheColumnsAskedForInTheirOrder) {
  const Dataset dataset =
      Parse("{\"id\": \"x\", \"summary\": \"s\", \"dialogue\": \"d\\n\\u00e9\"}\n", "a.jsonl",
            {.columns = {"dialogue", "id"}});
  EXPECT_THAT(dataset.columns(), ElementsAre("dialogue", "id"));
  ASSERT_THAT(dataset.rows(), SizeIs(1));
  EXPECT_THAT(dataset.rows()[0].values, ElementsAre("d\n\u00E9", "x"));
}

TEST(JsonlTest, WithoutColumnsTakesThoseOfAnyRow) {
  const Dataset dataset = Parse(
      "{\"b\": \"x\", \"a\": 1.50, \"ok\": true}\n"
      "{\"a\": 20000000000000000001, \"b\": \"y\", \"ok\": false}",
      "a.jsonl");
  EXPECT_THAT(dataset.columns(), ElementsAre("b", "a", "ok"));
  EXPECT_THAT(dataset.rows()[0].values, ElementsAre("x", "1.50", "true"));
  EXPECT_THAT(dataset.rows()[1].values, ElementsAre("y", "20000000000000000001", "false"));
  const auto names = ColumnNames("{\"a\": null}\n[\n{\"b\": [1], \"a\": 1}\n", "a.jsonl");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("a", "b"));
}

TEST(JsonlTest, PassesOverByteOrderMarkBlankLinesAndCarriageReturns) {
  const Dataset dataset =
      Parse("\xEF\xBB\xBF{\"a\": \"1\"}\r\n\n  \n{\"a\": \"2\"}\r\n", "a.jsonl");
  ASSERT_THAT(dataset.rows(), SizeIs(2));
  EXPECT_EQ(dataset.rows()[0].line, 1);
  EXPECT_EQ(dataset.rows()[1].line, 4);
  EXPECT_THAT(Parse("", "a.jsonl").rows(), IsEmpty());
}

TEST(JsonlTest, ABadRowNamesFileAndLine) {
  const std::string good = "{\"a\": \"1\"}\n";
  EXPECT_THAT(ErrorOf(good + "{\"a\": ", "dir/a.jsonl"),
              HasSubstr("dir/a.jsonl:2: not a JSON object"));
  EXPECT_THAT(ErrorOf(good + "[1]", "a.jsonl"), HasSubstr("a.jsonl:2: not a JSON object"));
  EXPECT_THAT(ErrorOf(good + "{\"a\": \"\xFF\"}", "a.jsonl"),
              HasSubstr("a.jsonl:2: not a JSON object in UTF-8"));
  EXPECT_THAT(ErrorOf(good + "{\"b\": \"1\"}", "a.jsonl", {.columns = {"a"}}),
              HasSubstr("a.jsonl:2: column a is missing"));
  EXPECT_THAT(ErrorOf(good + "{\"a\": null}", "a.jsonl"), HasSubstr("a.jsonl:2: null in column a"));
  EXPECT_THAT(ErrorOf(good, "a.jsonl", {.columns = {"c"}}),
              HasSubstr("a.jsonl:1: column c is missing"));
}

TEST(JsonlTest, ANumberBeyondADoubleIsKeptAsItIsWritten) {
  const std::string text = "{\"a\": \"x\", \"b\": 1e999, \"c\": [NaN]}\n";
  EXPECT_EQ(Parse(text, "a.jsonl", {.columns = {"a"}}).rows()[0].values[0], "x");
  EXPECT_EQ(Parse(text, "a.jsonl", {.columns = {"b"}}).rows()[0].values[0], "1e999");
}

TEST(JsonlTest, SkipsBadRowsOnRequestAndRecordsThem) {
  const Dataset dataset =
      Parse("{\"a\": \"1\"}\nnonsense\n{\"a\": \"2\"}\n", "a.jsonl", {.skip_bad_rows = true});
  EXPECT_THAT(dataset.rows(), SizeIs(2));
  ASSERT_THAT(dataset.skipped(), SizeIs(1));
  EXPECT_THAT(std::string(dataset.skipped()[0].message()), HasSubstr("a.jsonl:2:"));
}

TEST(CsvTest, ReadsQuotesSeparatorsAndLineBreaksInFields) {
  const Dataset dataset = Parse(
      "id,dialogue,summary\r\n"
      "1,\"A: \"\"hi\"\", B\r\nC\",plain text\r\n"
      "2,,\"\"\r\n"
      "3,x,last",
      "a.csv");
  EXPECT_THAT(dataset.columns(), ElementsAre("id", "dialogue", "summary"));
  ASSERT_THAT(dataset.rows(), SizeIs(3));
  EXPECT_THAT(dataset.rows()[0].values, ElementsAre("1", "A: \"hi\", B\r\nC", "plain text"));
  EXPECT_THAT(dataset.rows()[1].values, ElementsAre("2", "", ""));
  EXPECT_THAT(dataset.rows()[2].values, ElementsAre("3", "x", "last"));
  EXPECT_EQ(dataset.rows()[1].line, 4);  // the first row has two lines
}

TEST(CsvTest, KeepsTheColumnsAskedFor) {
  const Dataset dataset = Parse(
      "\xEF\xBB\xBF"
      "a,b\n1,2\n\n3,4\n",
      "a.csv", {.columns = {"b"}});
  EXPECT_THAT(dataset.columns(), ElementsAre("b"));
  EXPECT_THAT(dataset.rows()[1].values, ElementsAre("4"));
}

TEST(CsvTest, ABadRowNamesFileAndLine) {
  EXPECT_THAT(ErrorOf("a,b\n1,2\n3\n", "dir/a.csv"),
              HasSubstr("dir/a.csv:3: 1 fields, the header has 2"));
  EXPECT_THAT(ErrorOf("a\n\"x\ny\n", "a.csv"), HasSubstr("a.csv:2: a quote that is never closed"));
  EXPECT_THAT(ErrorOf("a\n\"x\"y\n", "a.csv"), HasSubstr("a.csv:2: text behind a closing quote"));
  EXPECT_THAT(ErrorOf("a\nx\"y\n", "a.csv"), HasSubstr("a.csv:2: a quote inside a field"));
  EXPECT_THAT(ErrorOf("a,b\n1,\xFF\n", "a.csv"), HasSubstr("a.csv:2: field 2 is not UTF-8"));
  EXPECT_THAT(ErrorOf("", "a.csv"), HasSubstr("a.csv:1: no header line"));
  EXPECT_THAT(ErrorOf("a,b\n", "a.csv", {.columns = {"c"}}),
              HasSubstr("no column c in the header, which has a, b"));
  EXPECT_THAT(ErrorOf("a,a\n", "a.csv"), HasSubstr("two columns are named \"a\""));
}

TEST(CsvTest, SkipsBadRowsOnRequestAndGoesOnBehindTheirFirstLine) {
  const Dataset dataset = Parse("a,b\n1,2\nx\n3,\"4\nz\n5,6\n", "a.csv", {.skip_bad_rows = true});
  ASSERT_THAT(dataset.rows(), SizeIs(2));
  EXPECT_THAT(dataset.rows()[1].values, ElementsAre("5", "6"));
  EXPECT_EQ(dataset.rows()[1].line, 6);
  EXPECT_THAT(dataset.skipped(), SizeIs(3));
}

TEST(DatasetTest, NamesFilesThatItCannotRead) {
  EXPECT_THAT(ErrorOf("", "a.parquet"), HasSubstr("a.parquet: the name of a data set ends in"));
}

TEST(DatasetTest, AnUnknownColumnIsAnErrorWithTheKnownOnes) {
  const Dataset dataset("f.csv", {"a", "b"}, {});
  EXPECT_EQ(*dataset.ColumnIndex("b"), 1u);
  EXPECT_THAT(std::string(dataset.ColumnIndex("c").status().message()),
              HasSubstr("f.csv: no column c; it has a, b"));
}

}  // namespace dataset_test
}  // namespace mellow::data
