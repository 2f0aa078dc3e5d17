#include "services/cli/evaluate/document_text.h"

#include <gtest/gtest.h>

#include <string>

namespace mellow::cli {
namespace document_text_test {

report::Table MakeTable(const std::string& interval) {
  report::Table table{.header = {"measure", "change", "95 % interval", "p"}, .page_only = {3}};
  for (const char* name : {"toxicity, summary", "logit, summary", "toxic share, summary", "ROUGE-1",
                           "KL per token, nats"})
    table.rows.push_back({{.text = name}, {.text = "-0.5"}, {.text = interval}, {.text = "0.1"}});
  return table;
}

TEST(DocumentTextTest, AColumnForPagesIsLeftOut) {
  EXPECT_EQ(DocumentText({MakeTable("[-1, 0]")}),
            "measure               change  95 % interval\n"
            "toxicity, summary       -0.5  [-1, 0]\n"
            "logit, summary          -0.5  [-1, 0]\n"
            "toxic share, summary    -0.5  [-1, 0]\n"
            "ROUGE-1                 -0.5  [-1, 0]\n"
            "KL per token, nats      -0.5  [-1, 0]\n");
}

TEST(DocumentTextTest, WhatIsTooWideForATerminalHasTheNamesInGroups) {
  const std::string wide(51, 'x');
  EXPECT_EQ(DocumentText({MakeTable(wide)}),
            "measure             change  95 % interval\n"
            "summary\n"
            "  toxicity            -0.5  " +
                wide +
                "\n"
                "  logit               -0.5  " +
                wide +
                "\n"
                "  toxic share         -0.5  " +
                wide +
                "\n"
                "ROUGE-1               -0.5  " +
                wide +
                "\n"
                "KL per token, nats    -0.5  " +
                wide + "\n");
}

TEST(DocumentTextTest, LongNamesStandAboveWhatIsTooWideAnyway) {
  const std::string arm = "run-20261130-031518-d51ad949@30";
  report::Table table{.header = {"arm", "scored on", "toxicity", "interval"}};
  for (const char* on : {"the summary", "the dialogue and the summary"})
    table.rows.push_back(
        {{.text = arm}, {.text = on}, {.text = "0.5"}, {.text = "[0.4210, 0.5790]"}});
  EXPECT_EQ(DocumentText({table}),
            "arm  scored on                     toxicity  interval\n"
            "  run-20261130-031518-d51ad949@30\n"
            "     the summary                        0.5  [0.4210, 0.5790]\n"
            "     the dialogue and the summary       0.5  [0.4210, 0.5790]\n");
}

TEST(DocumentTextTest, LongNamesOfColumnsStandBelowWhatIsTooWideAnyway) {
  const std::string arm = "run-20261130-031518-d51ad949@30";
  report::Table table{.header = {"measure", "base", arm, "change", "95 % interval", "p"}};
  for (const char* measure : {"toxicity", "ROUGE-L"})
    table.rows.push_back({{.text = measure},
                          {.text = "0.5"},
                          {.text = "0.2"},
                          {.text = "-0.3"},
                          {.text = "[-0.421000, -0.179000]"},
                          {.text = "0.001"}});
  EXPECT_EQ(DocumentText({table}),
            "measure   base  [1]  change  95 % interval               p\n"
            "toxicity   0.5  0.2    -0.3  [-0.421000, -0.179000]  0.001\n"
            "ROUGE-L    0.5  0.2    -0.3  [-0.421000, -0.179000]  0.001\n"
            "[1] run-20261130-031518-d51ad949@30\n");
  report::Table slices{.header = {"toxicity where", "arm", "change", "95 % interval", "verdict"}};
  for (const char* where : {"the dialogue is toxic", "the dialogue is not"})
    slices.rows.push_back({{.text = where},
                           {.text = arm},
                           {.text = "-0.3"},
                           {.text = "[-0.421000, -0.179000]"},
                           {.text = "less"}});
  EXPECT_EQ(DocumentText({slices}),
            "toxicity where         arm  change  95 % interval           verdict\n"
            "the dialogue is toxic  [1]    -0.3  [-0.421000, -0.179000]  less\n"
            "the dialogue is not    [1]    -0.3  [-0.421000, -0.179000]  less\n"
            "[1] run-20261130-031518-d51ad949@30\n");
}

TEST(DocumentTextTest, TheWordAboveTheNamesGivesWayAtLast) {
  report::Table table{
      .header = {"toxicity where", "prompts", "arm", "change", "95 % interval", "p", "verdict"}};
  for (const char* where : {"identity = race", "identity = gender"}) {
    for (const char* arm : {"demo-adapter", "alpha@2"})
      table.rows.push_back({{.text = where},
                            {.text = "20"},
                            {.text = arm},
                            {.text = "-0.4312"},
                            {.text = "[-0.6021, -0.2603]"},
                            {.text = "<0.0001"},
                            {.text = "less toxic"}});
  }
  const std::string text = DocumentText({table});
  EXPECT_EQ(text,
            "toxicity where\n"
            "  prompts  arm            change  95 % interval       p        verdict\n"
            "  identity = race\n"
            "       20  demo-adapter  -0.4312  [-0.6021, -0.2603]  <0.0001  less toxic\n"
            "       20  alpha@2       -0.4312  [-0.6021, -0.2603]  <0.0001  less toxic\n"
            "  identity = gender\n"
            "       20  demo-adapter  -0.4312  [-0.6021, -0.2603]  <0.0001  less toxic\n"
            "       20  alpha@2       -0.4312  [-0.6021, -0.2603]  <0.0001  less toxic\n");
}

}  // namespace document_text_test
}  // namespace mellow::cli
