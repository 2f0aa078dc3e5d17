// Any text as JSON, in each way that it is read: what is read gives the same value after it was
// written, in any style.

#include <cmath>
#include <cstdlib>
#include <string>

#include "common/json/value.h"

namespace {

using mellow::json::ParseOptions;
using mellow::json::Value;

void Check(absl::string_view text, const ParseOptions& options) {
  const auto value = mellow::json::Parse(text, "input", options);
  if (!value.ok()) {
    if (value.status().message().empty()) std::abort();
    return;
  }
  for (const int indentation : {-1, 2}) {
    const std::string written = mellow::json::Write(*value, {.indentation = indentation});
    const auto again = mellow::json::Parse(written, "written");
    if (!again.ok()) std::abort();
    // Numbers that are not finite come back as texts, so texts are compared.
    if (mellow::json::Write(*again, {.indentation = indentation}) != written) std::abort();
    if (!options.python_literals && *again != *value) std::abort();
  }
  const std::string sorted = mellow::json::Write(*value, {.sorted = true});
  if (mellow::json::Write(*mellow::json::Parse(sorted, "sorted"), {.sorted = true}) != sorted)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  Check(text, {});
  Check(text, {.last_of_name_counts = true});
  Check(text, {.last_of_name_counts = true, .python_literals = true, .numbers_as_text = true});
  return 0;
}
