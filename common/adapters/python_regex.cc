#include "common/adapters/python_regex.h"

#include <re2/re2.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mellow::adapters {
namespace {

constexpr size_t kMaxPattern = 16 << 10;
constexpr int64_t kMaxMemory = 2 << 20;

// What RE2 takes too, but for something else: repeats without a lower bound and possessive ones,
// classes in brackets, quoting, and escapes that Python does not have.
constexpr absl::string_view kReadDifferently[] = {
    "{,", "++", "*+", "?+", "}+", "[:", "\\Q", "\\E", "\\C", "\\p", "\\P", "\\z", "(?U",
};

re2::StringPiece Piece(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::StatusOr<PythonRegex> PythonRegex::Compile(absl::string_view pattern) {
  if (pattern.size() > kMaxPattern) {
    return absl::InvalidArgumentError(absl::StrCat("a regular expression of ", pattern.size(),
                                                   " bytes, at most ", kMaxPattern,
                                                   " are supported"));
  }
  for (const absl::string_view part : kReadDifferently) {
    if (absl::StrContains(pattern, part))
      return absl::InvalidArgumentError(absl::StrCat("the regular expression \"", pattern, "\": \"",
                                                     part, "\" is not supported"));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxMemory);
  auto regex = std::make_shared<const re2::RE2>(Piece(pattern), options);
  if (!regex->ok()) {
    return absl::InvalidArgumentError(absl::StrCat("the regular expression \"", pattern,
                                                   "\" is not supported: ", regex->error()));
  }
  return PythonRegex(std::move(regex));
}

bool PythonRegex::FullMatch(absl::string_view text) const {
  return regex_->Match(Piece(text), 0, text.size(), re2::RE2::ANCHOR_BOTH, nullptr, 0);
}

bool PythonRegex::Match(absl::string_view text) const {
  return regex_->Match(Piece(text), 0, text.size(), re2::RE2::ANCHOR_START, nullptr, 0);
}

std::optional<std::string> PythonRegex::FirstGroup(absl::string_view text) const {
  re2::StringPiece groups[2];
  if (!regex_->Match(Piece(text), 0, text.size(), re2::RE2::ANCHOR_START, groups, 2) ||
      groups[1].data() == nullptr)
    return std::nullopt;
  return std::string(groups[1].data(), groups[1].size());
}

}  // namespace mellow::adapters
