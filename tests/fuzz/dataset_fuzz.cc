// A data set: behind the first line, which is the file's name, its bytes. Reading with bad rows
// left out must agree with strict reading about every row that both have, and say where each bad
// one is.

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/data/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\n');
  if (end == std::string::npos) return 0;
  const std::string name = text.substr(0, end);
  const std::string bytes = text.substr(end + 1);
  data::ReadOptions tolerant;
  tolerant.skip_bad_rows = true;
  const auto good = data::ParseDataset(bytes, name, tolerant);
  const auto strict = data::ParseDataset(bytes, name);
  if (!good.ok()) {
    if (strict.ok()) std::abort();
    return 0;
  }
  for (const data::Row& row : good->rows())
    if (row.values.size() != good->columns().size()) std::abort();
  for (const absl::Status& problem : good->skipped())
    if (!absl::StrContains(problem.message(), absl::StrCat(name, ":"))) std::abort();
  if (strict.ok() != good->skipped().empty()) std::abort();
  if (strict.ok() && strict->rows().size() != good->rows().size()) std::abort();
  return 0;
}
