#include "services/cli/terminal/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace mellow::cli {
namespace {

std::vector<std::string>& Invocation() {
  static auto* words = new std::vector<std::string>{"mellow"};
  return *words;
}

std::string Quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::string_view("-_./=:@,+%").find(c) != std::string::npos;
  });
  return plain ? word : absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

}  // namespace

void SetInvocation(std::vector<std::string> words) { Invocation() = std::move(words); }

std::string CommandLine(const std::vector<std::string>& words) {
  std::vector<std::string> line = Invocation();
  line.insert(line.end(), words.begin(), words.end());
  for (std::string& word : line) word = Quoted(word);
  return absl::StrJoin(line, " ");
}

void AddStrictFlag(CLI::App* sub, bool* strict) {
  sub->add_flag("--strict", *strict,
                "Exit code 1 when any line failed [only when all did, or no server answered]");
}

}  // namespace mellow::cli
