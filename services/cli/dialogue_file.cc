#include "services/cli/dialogue_file.h"

#include <fstream>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "services/cli/json_lines.h"

namespace mellow::cli {
namespace {

int64_t Characters(const std::string& text) {
  return absl::c_count_if(text,
                          [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

absl::StatusOr<std::vector<Dialogue>> ReadDialogues(const std::string& path,
                                                    const DialogueFilter& filter) {
  std::ifstream file(path);
  if (!file) return ErrnoStatus(errno, path);
  std::vector<Dialogue> rows;
  int number = 0;
  for (std::string line; std::getline(file, line) &&
                         (filter.limit == 0 || static_cast<int>(rows.size()) < filter.limit);) {
    ++number;
    const absl::StatusOr<Json> object = ParseObject(line);
    if (!object.ok()) return Annotate(object.status(), absl::StrCat(path, ":", number));
    Dialogue row;
    absl::StatusOr<std::string> dialogue = TextField(*object, "dialogue");
    if (!dialogue.ok()) return Annotate(dialogue.status(), absl::StrCat(path, ":", number));
    row.dialogue = *std::move(dialogue);
    if (object->contains("summary")) {
      absl::StatusOr<std::string> summary = TextField(*object, "summary");
      if (!summary.ok()) return Annotate(summary.status(), absl::StrCat(path, ":", number));
      row.summary = *std::move(summary);
    }
    const int64_t characters = Characters(row.dialogue);
    if (filter.min_chars > 0 && characters <= filter.min_chars) continue;
    if (filter.max_chars > 0 && characters > filter.max_chars) continue;
    rows.push_back(std::move(row));
  }
  if (rows.empty())
    return absl::InvalidArgumentError(absl::StrCat(path, ": no dialogue passes the filter"));
  return rows;
}

std::string NotebookPrompt(const std::string& dialogue) {
  return absl::StrCat("\nSummarize the following conversation.\n\n", dialogue, "\n\nSummary:\n");
}

}  // namespace mellow::cli
