#include "services/cli/files/step_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace mellow::cli {

std::optional<StepName> ParseStepName(absl::string_view name) {
  const size_t at = name.rfind('@');
  if (at == absl::string_view::npos || at == 0 || name.find('/') != absl::string_view::npos)
    return std::nullopt;
  const absl::string_view digits = name.substr(at + 1);
  StepName step{.run = std::string(name.substr(0, at))};
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &step.step))
    return std::nullopt;
  return step;
}

}  // namespace mellow::cli
