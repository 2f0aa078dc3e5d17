#ifndef MELLOW_COMMON_ADAPTERS_PYTHON_REGEX_H_
#define MELLOW_COMMON_ADAPTERS_PYTHON_REGEX_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace mellow::adapters {

// A regular expression of Python's `re` over module names. Matching takes time linear in the text,
// whatever the pattern (RE2). Immutable, thread-safe, cheap to copy.
class PythonRegex {
 public:
  // InvalidArgument saying why: not an expression, too large, or one that RE2 lacks (look-around,
  // back-references, possessive repeats) or reads differently from Python.
  [[nodiscard]] static absl::StatusOr<PythonRegex> Compile(absl::string_view pattern);

  // re.fullmatch
  [[nodiscard]] bool FullMatch(absl::string_view text) const;
  // re.match: from the beginning, not necessarily to the end.
  [[nodiscard]] bool Match(absl::string_view text) const;
  // The first group of re.match. Precondition: the pattern has one.
  [[nodiscard]] std::optional<std::string> FirstGroup(absl::string_view text) const;

 private:
  explicit PythonRegex(std::shared_ptr<const re2::RE2> regex) : regex_(std::move(regex)) {}
  std::shared_ptr<const re2::RE2> regex_;
};

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_PYTHON_REGEX_H_
