#ifndef MELLOW_SERVICES_CLI_DATA_DATA_DESCRIPTION_H_
#define MELLOW_SERVICES_CLI_DATA_DATA_DESCRIPTION_H_

// What is in a data set, before anything is trained on it.

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/data/describe.h"
#include "common/data/prompt_template.h"
#include "common/text/fitted_prompt.h"
#include "services/cli/models/model_loading.h"

namespace mellow::cli {

struct DescribeOptions {
  std::string file;
  std::string column = "dialogue";  // of the dialogues
  std::string summary_column;       // empty: "summary" where the file has it
  std::string model;                // folder whose tokenizer counts; empty: tokens are left out
  std::string prompt_template = text::kDefaultPromptTemplate;
  int max_source_tokens = 0;  // where prompts are truncated; 0: nowhere
  std::string dir;            // cluster whose reward service scores; empty: none
  std::string reward_model;   // classifier folder, instead of it
  std::string toxic_label;    // of either; empty: the one that the names of the labels say
  ModelOptions local = {.device = "cpu"};
  int score_rows = 1000;  // drawn by a fixed seed; 0: all
  int examples = 3;       // first rows to show
};

struct ColumnReport {
  std::string name;
  std::vector<int> empty;          // lines
  std::vector<double> characters;  // one per row
  std::vector<double> tokens;      // empty: no model
  std::vector<double> toxicity;    // of the rows scored
};

struct Description {
  data::Dataset dataset;             // the columns below
  std::vector<std::string> columns;  // of the file
  std::vector<ColumnReport> reports;
  std::vector<data::Duplicate> duplicates;
  std::vector<double> prompt_tokens;
  std::string judge;        // empty: not scored
  std::string toxic_label;  // its label that toxicity is the probability of
};

// Reads, counts and scores. Bad rows are left out and recorded in the data set. InvalidArgument: no
// good row, a column that is not there, a wrong template; errors of the model folders and of the
// cluster.
[[nodiscard]] absl::StatusOr<Description> DescribeData(const DescribeOptions& options);

// Prompts that are longer than max_source_tokens.
[[nodiscard]] size_t Truncated(const DescribeOptions& options, const Description& description);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_DATA_DATA_DESCRIPTION_H_
