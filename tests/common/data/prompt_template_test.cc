#include "common/data/prompt_template.h"

#include "common/text/load_tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/source_tree.h"

namespace mellow::data {
namespace prompt_template_test {

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

TEST(PromptTemplateTest, TooLongAPromptIsCutInsideTheTemplate) {
  const auto tokenizer = text::LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto made = PromptTemplate::Parse("{topic}: {dialogue} {topic}\nSummary:\n", kColumns);
  ASSERT_TRUE(made.ok()) << made.status();
  const Row row{.line = 1, .values = {std::string(300, 'a') + "b", "short"}};
  const auto whole = made->Encode(row, **tokenizer, 0);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->ids, *(*tokenizer)->Encode(made->Render(row)));
  EXPECT_FALSE(whole->truncated());
  const auto cut = made->Encode(row, **tokenizer, whole->tokens() - 20);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ(cut->tokens(), whole->tokens() - 20);
  EXPECT_EQ(cut->uncut_tokens, whole->tokens());
  const std::string text = *(*tokenizer)->Decode(cut->ids, /*skip_special_tokens=*/true);
  EXPECT_TRUE(text.starts_with("short: a")) << text;
  EXPECT_THAT(text, HasSubstr("a short Summary:"));
}

}  // namespace prompt_template_test
}  // namespace mellow::data
