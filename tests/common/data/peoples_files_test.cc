// Data sets as they are found: what pandas, json.dumps, spreadsheets and old Macs write.

#include "common/base/file.h"
#include "common/data/dataset.h"
#include "common/data/needed_columns.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_folder.h"

namespace mellow::data {
namespace peoples_files_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Columns = std::vector<std::string>;

const Columns kBoth = {"dialogue", "summary"};

Dataset Read(absl::string_view bytes, const std::string& name, const Columns& columns = kBoth) {
  auto dataset = ParseDataset(bytes, name, {.columns = columns, .skip_bad_rows = true});
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return dataset.ok() ? *std::move(dataset) : Dataset("", {}, {});
}

std::vector<std::string> Bad(const Dataset& dataset) {
  std::vector<std::string> messages;
  for (const absl::Status& status : dataset.skipped()) messages.emplace_back(status.message());
  return messages;
}

// "line|value|value" per row.
std::vector<std::string> Rows(const Dataset& dataset) {
  std::vector<std::string> rows;
  for (const Row& row : dataset.rows()) {
    std::string& text = rows.emplace_back(std::to_string(row.line));
    for (const std::string& value : row.values) text += "|" + value;
  }
  return rows;
}

TEST(JsonRowsTest, LiteralsOfPythonLoseNoRowWhereNobodyAsksForThem) {
  const std::string text =
      "{\"dialogue\": \"a NaN \\\\\\\" \", \"summary\": \"s\", \"topic\": NaN}\n"
      "{\"dialogue\": \"b\", \"topic\": [Infinity, {\"x\": -Infinity}], \"summary\": \"t\"}\n"
      "{\"dialogue\": \"c\", \"summary\": NaN}\n"
      "{\"dialogue\": \"d\", \"summary\": -Infinity}\n";
  const Dataset dataset = Read(text, "p.jsonl");
  EXPECT_THAT(Rows(dataset), ElementsAre("1|a NaN \\\" |s", "2|b|t"));
  EXPECT_THAT(Bad(dataset), ElementsAre("p.jsonl:3: NaN in column summary",
                                        "p.jsonl:4: -Infinity in column summary"));
}

TEST(JsonRowsTest, WhatIsNoTextIsNamedByRowColumnAndType) {
  const Dataset dataset = Read(
      "{\"dialogue\": [\"#Person1#: Hi\", \"#Person2#: Ho\"], \"summary\": \"s\"}\n"
      "{\"dialogue\": {\"text\": \"a\"}, \"summary\": \"s\"}\n"
      "{\"dialogue\": null, \"summary\": \"s\"}\n"
      "{\"summary\": \"s\"}\n",
      "turns.jsonl");
  EXPECT_THAT(dataset.rows(), IsEmpty());
  EXPECT_THAT(
      Bad(dataset),
      ElementsAre("turns.jsonl:1: column dialogue is a list (of 2), not a text; join it to one "
                  "text, turns with line breaks between them",
                  "turns.jsonl:2: column dialogue is an object, not a text",
                  "turns.jsonl:3: null in column dialogue",
                  "turns.jsonl:4: column dialogue is missing"));
}

TEST(JsonRowsTest, AnArrayOfRowsIsRead) {
  const std::string array =
      "[\n {\n  \"dialogue\": \"a, ] \\\" }\",\n  \"summary\": \"s\"\n },\n"
      " {\"dialogue\": \"b\", \"summary\": NaN}, {\"dialogue\": \"c\",\n \"summary\": \"u\"}\n]\n";
  for (const char* name : {"a.json", "a.jsonl"}) {
    const Dataset dataset = Read(array, name);
    EXPECT_EQ(dataset.format(), "a JSON array of rows");
    EXPECT_THAT(Rows(dataset), ElementsAre("2|a, ] \" }|s", "6|c|u"));
    EXPECT_THAT(Bad(dataset), ElementsAre(std::string(name) + ":6: NaN in column summary"));
  }
  EXPECT_THAT(Bad(Read("[ ]", "a.json")), ElementsAre("a.json:1: an array without rows"));
}

TEST(JsonRowsTest, ABrokenArraySaysWhere) {
  const std::string row = "{\"dialogue\": \"a\", \"summary\": \"s\"}";
  EXPECT_THAT(Bad(Read("[" + row + ",\n", "a.json")),
              ElementsAre("a.json:2: the array is never closed"));
  EXPECT_THAT(Bad(Read("[" + row + "]\n" + row, "a.json")),
              ElementsAre("a.json:2: text behind the array of rows"));
  EXPECT_THAT(Bad(Read("[" + row + ",,\n" + row + "]", "a.json")),
              ElementsAre("a.json:1: an element of the array is missing"));
  const Dataset mixed = Read("[1, [2], \"x\", " + row + ", {\"dialogue\": }]", "a.json");
  EXPECT_THAT(mixed.rows(), SizeIs(1));
  EXPECT_THAT(Bad(mixed), SizeIs(4));
}

TEST(JsonRowsTest, AnObjectOnSeveralLinesIsNamed) {
  const Dataset dataset = Read("{\n \"dialogue\": \"a\"\n}\n", "a.json");
  EXPECT_THAT(Bad(dataset)[0],
              "a.json:1: an object on several lines: one per line is wanted, or one "
              "array of them");
}

TEST(JsonRowsTest, CarriageReturnsAloneEndLines) {
  EXPECT_THAT(Rows(Read("{\"a\": 1}\r{\"a\": 2}\r", "a.jsonl", {"a"})), ElementsAre("1|1", "2|2"));
}

TEST(CsvRowsTest, SeparatorAndLineEndsAreThoseOfTheHeader) {
  struct Case {
    const char* name;
    const char* text;
    const char* format;
  };
  for (const Case& c : {
           Case{"a.csv", "id;dialogue;summary\r\n1;\"a;\nb\";c, d\r\n", "CSV with semicolons"},
           Case{"a.csv", "id\tdialogue\tsummary\n1\t\"a;\nb\"\tc, d\n", "CSV with tabs"},
           Case{"a.tsv", "id\tdialogue\tsummary\n1\t\"a;\nb\"\tc, d\n", "CSV with tabs"},
           Case{"a.csv", "id, dialogue ,summary\n1,\"a;\nb\",\"c, d\"\n", "CSV with commas"},
           Case{"a.csv", "\n\nid|dialogue|summary\n1|\"a;\nb\"|c, d\n", "CSV with vertical bars"},
           Case{"a.csv", "id,dialogue,summary\r1,\"a;\nb\",\"c, d\"\r",
                "CSV with commas and carriage returns as line ends"},
       }) {
    const Dataset dataset = Read(c.text, c.name);
    EXPECT_EQ(dataset.format(), c.format);
    ASSERT_THAT(dataset.rows(), SizeIs(1)) << c.text;
    EXPECT_THAT(dataset.rows()[0].values, ElementsAre("a;\nb", "c, d"));
  }
}

TEST(CsvRowsTest, CarriageReturnsInFieldsStay) {
  EXPECT_THAT(Rows(Read("dialogue,summary\r\n\"a\rb\",c\r\n\"d\r\ne\",f\r\n", "a.csv")),
              ElementsAre("2|a\rb|c", "3|d\r\ne|f"));
}

TEST(CsvRowsTest, ABadRecordCountsOnceWhateverLineBreaksAreInIt) {
  const std::string head = "id,dialogue,summary\nr0,ok,fine\n";
  const std::string tail = "r2,\"ok\",\"fine, too\"\n";
  struct Case {
    const char* record;
    const char* error;
    int last_line;
  };
  for (const Case& c : {
           // A phantom row with the right number of fields hides in each of these.
           Case{"r1,\"caf\xE9 \nyes, sure, why not\n#Person2#: bye\",s1\n",
                "p.csv:3: field 2 is not UTF-8", 6},
           Case{"r1,\"A: \"hi\"\nyes, sure, why not\nB: \"ho\" you\",s1\n",
                "p.csv:3: text behind a closing quote", 6},
           Case{"r1,\"x\ny, z, w\nv\",s1,too many\n", "p.csv:3: 4 fields, the header has 3", 6},
           Case{"r1,\"x\"y,s1\n", "p.csv:3: text behind a closing quote", 4},
           Case{"r1,a 5\" pipe,s1\n", "p.csv:3: a quote inside a field without quotes", 4},
           Case{"r1,\"never,s1\n", "p.csv:", 4},
       }) {
    const Dataset dataset = Read(head + c.record + tail, "p.csv");
    EXPECT_THAT(Rows(dataset),
                ElementsAre("2|ok|fine", std::to_string(c.last_line) + "|ok|fine, too"))
        << c.record;
    ASSERT_THAT(Bad(dataset), SizeIs(1)) << c.record;
    EXPECT_THAT(Bad(dataset)[0], HasSubstr(c.error));
  }
}

TEST(DatasetNamesTest, OthersAreNamed) {
  const auto utf16 = ParseDataset(absl::string_view("\xFF\xFE"
                                                    "a\0",
                                                    4),
                                  "a.csv");
  EXPECT_THAT(std::string(utf16.status().message()), HasSubstr("UTF-16"));
}

// What a user of a run file reads.
TEST(NeededColumnsTest, TheReasonIsTheRowsOwn) {
  const testing::TempFolder folder;
  const std::string path = folder / "a.jsonl";
  const auto error = [&](const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(path, text).ok());
    const auto read = ReadNeededColumns(
        "data.path", path,
        {{"dialogue", "data.prompt_template"}, {"summary", "data.summary_column"}});
    return std::string(read.status().message());
  };
  EXPECT_EQ(error("{\"dialogue\": \"a\", \"summary\": null}\n"),
            "data.path: " + path + ":1: null in column summary");
  EXPECT_THAT(error("{\"dialogue\": [\"a\"], \"summary\": \"s\"}\n"),
              HasSubstr(":1: column dialogue is a list (of 1), not a text"));
  EXPECT_EQ(error("{\"dialogue\": \"a\", \"summary\": NaN}\n"),
            "data.path: " + path + ":1: NaN in column summary");
  EXPECT_EQ(error("{\"dialogue\": \"a\", \"gist\": null}\n"),
            "data.summary_column: " + path + ": no column summary; it has dialogue, gist");
  EXPECT_THAT(error("{\"dialogue\": \n"), HasSubstr(":1: not a JSON object in UTF-8: "));
}

}  // namespace peoples_files_test
}  // namespace mellow::data
