#include "services/cli/terminal/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace mellow::cli {
namespace {

std::string& Invocation() {
  static auto* text = new std::string("mellow");
  return *text;
}

std::string Quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::string_view("-_./=:@,+%").find(c) != std::string::npos;
  });
  return plain ? word : absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

}  // namespace

void SetInvocation(const std::vector<std::string>& words, const std::string& program) {
  std::string& text = Invocation();
  text = program.empty() ? Quoted(words.front()) : program;
  for (size_t i = 1; i < words.size(); ++i) absl::StrAppend(&text, " ", Quoted(words[i]));
}

std::string CommandLine(const std::vector<std::string>& words) {
  std::string line = Invocation();
  for (const std::string& word : words) absl::StrAppend(&line, " ", Quoted(word));
  return line;
}

void AddProgramFlags(CLI::App* app, ProgramFlags* flags) {
  app->add_option("--connect", flags->connect,
                  "The services of a cluster that `mellow up` did not start, as "
                  "orchestrator=HOST:PORT,policy=HOST:PORT,...; goes before the command")
      ->envname("MELLOW_CONNECT");
  app->add_option("--invocation", flags->invocation,
                  "What the commands that are printed for you to run begin with, where that is not "
                  "this program, as in a container: 'docker compose run --rm cli'")
      ->envname("MELLOW_INVOCATION");
  app->add_flag("--check-syntax", flags->check_syntax, "Whether the rest is a command; do nothing")
      ->group("");
}

void AddStrictFlag(CLI::App* sub, bool* strict) {
  sub->add_flag("--strict", *strict,
                "Exit code 1 when any line failed [only when all did, or no server answered]");
}

}  // namespace mellow::cli
