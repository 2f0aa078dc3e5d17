#include "common/data/prompt_template.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mellow::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<std::string> kColumns = {"dialogue", "topic"};

std::string Render(absl::string_view text, const Row& row) {
  const absl::StatusOr<PromptTemplate> made = PromptTemplate::Parse(text, kColumns);
  return made.ok() ? made->Render(row) : made.status().ToString();
}

TEST(PromptTemplateTest, PutsColumnsIntoTheText) {
  const Row row{.line = 1, .values = {"A: hi", "talk"}};
  EXPECT_EQ(Render("\nSummarize.\n\n{dialogue}\n\nSummary:\n", row),
            "\nSummarize.\n\nA: hi\n\nSummary:\n");
  EXPECT_EQ(Render("{topic}{topic}: {dialogue}", row), "talktalk: A: hi");
  EXPECT_EQ(Render("no column", row), "no column");
  EXPECT_EQ(Render("", row), "");
}

TEST(PromptTemplateTest, DoubledBracesAreBraces) {
  const Row row{.line = 1, .values = {"x", "y"}};
  EXPECT_EQ(Render("{{dialogue}} {{{dialogue}}}", row), "{dialogue} {x}");
}

TEST(PromptTemplateTest, BracesInTheRowAreLeftAlone) {
  EXPECT_EQ(Render("{dialogue}", {.line = 1, .values = {"{topic} {", "y"}}), "{topic} {");
}

TEST(PromptTemplateTest, NamesTheColumnOrTheBraceThatIsWrong) {
  const auto error = [](absl::string_view text) {
    const absl::StatusOr<PromptTemplate> made = PromptTemplate::Parse(text, kColumns);
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(made.status().message());
  };
  EXPECT_THAT(error("{dialog}"), HasSubstr("no column dialog; there are dialogue, topic"));
  EXPECT_THAT(error("ab{dialogue"), HasSubstr("the { at byte 2"));
  EXPECT_THAT(error("a}"), HasSubstr("the } at byte 1"));
  EXPECT_THAT(error("{}"), HasSubstr("the { at byte 0"));
}

TEST(PromptTemplateTest, ListsItsColumnsOnce) {
  EXPECT_THAT(*PromptTemplate::Columns("{b} {{c}} {a} {b}"), ElementsAre("b", "a"));
  EXPECT_FALSE(PromptTemplate::Columns("{").ok());
}

}  // namespace
}  // namespace mellow::data
