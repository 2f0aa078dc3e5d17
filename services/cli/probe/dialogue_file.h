#ifndef MELLOW_SERVICES_CLI_PROBE_DIALOGUE_FILE_H_
#define MELLOW_SERVICES_CLI_PROBE_DIALOGUE_FILE_H_

// DialogSum-like data sets (whatever data::ReadDataset reads), as `compare` and `bench` read them.

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace mellow::cli {

struct Dialogue {
  std::string dialogue;
  std::string summary;  // empty: the data set has none
};

struct DialogueFilter {
  int limit = 0;      // first rows that pass; 0: all
  int min_chars = 0;  // min_chars < characters of the dialogue <= max_chars; 0: no bound
  int max_chars = 0;
};

// Rows in file order. Errors of data::ReadDataset; InvalidArgument: no column "dialogue", or no row
// passes.
[[nodiscard]] absl::StatusOr<std::vector<Dialogue>> ReadDialogues(const std::string& path,
                                                                  const DialogueFilter& filter);

// The prompt of the DialogSum notebooks.
[[nodiscard]] std::string NotebookPrompt(const std::string& dialogue);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_PROBE_DIALOGUE_FILE_H_
