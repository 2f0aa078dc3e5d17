#include "services/learner/base/run_id.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace mellow::learner {

absl::Status CheckRunId(const std::string& run_id) {
  const bool good = !run_id.empty() && run_id.size() <= 128 &&
                    std::all_of(run_id.begin(), run_id.end(), [](char c) {
                      return absl::ascii_isalnum(c) || c == '-' || c == '_';
                    });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("run_id '", run_id, "': 1 to 128 letters, digits, '-' and '_'"));
}

}  // namespace mellow::learner
