#include "services/cli/terminal/completion.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "services/cli/terminal/command.h"

namespace mellow::cli {
namespace {

// With the program's name, the patterns of commands that have been typed, the cases of what may
// follow each, and those of the values of each option.
constexpr char kScript[] =
    R"(# Completion of @name@ for bash: source this file, or put it where bash-completion looks.
_@name@() {
  local current=${COMP_WORDS[COMP_CWORD]} path=@name@ commands= options= values= i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$path ${COMP_WORDS[i]}" in
      @paths@) path="$path ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path" in
@words@  esac
  case "$path ${COMP_WORDS[COMP_CWORD - 1]}" in
@values@  esac
  COMPREPLY=()
  if [[ -n $values ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  fi
}
complete -o default -F _@name@ @name@
)";

struct Parts {
  std::vector<std::string> paths;  // "mellow up"
  std::string words, values;
};

// The words among what the help shows as an option's values: float32 and int8 of
// "float32|int8|FOLDER", csv and jsonl of "TEXT:{csv,jsonl}". Capitals stand for what the reader is
// to put there, so that nothing is offered for "cuda:N" (or for "TEXT:").
std::string Values(const CLI::Option& option) {
  const std::string shown = option.get_type_name();
  if (!absl::StrContains(shown, '|') && !absl::StrContains(shown, '{')) return "";
  std::vector<std::string> words = absl::StrSplit(shown, absl::ByAnyChar("|{,}"));
  std::erase_if(words, [](const std::string& word) {
    return word.empty() || absl::c_any_of(word, absl::ascii_isupper);
  });
  return absl::StrJoin(words, " ");
}

std::vector<const CLI::App*> Commands(const CLI::App& app) {
  return app.get_subcommands(
      [](const CLI::App* sub) { return !sub->get_group().empty() && !sub->get_name().empty(); });
}

void Collect(const CLI::App& app, const std::string& path, Parts* parts) {
  std::vector<std::string> options, names;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    const std::string values = Values(*option);
    if (option->get_positional()) names.push_back(values);
    for (const std::string& name : option->get_lnames()) {
      options.push_back("--" + name);
      if (values.empty()) continue;
      absl::StrAppend(&parts->values, "    \"", path, " --", name, "\") values=\"", values,
                      "\" ;;\n");
    }
  }
  for (const CLI::App* sub : Commands(app)) names.push_back(sub->get_name());
  absl::StrAppend(&parts->words, "    \"", path, "\") options=\"", absl::StrJoin(options, " "),
                  "\" commands=\"", absl::StrJoin(names, " "), "\" ;;\n");
  for (const CLI::App* sub : Commands(app)) {
    const std::string inner = absl::StrCat(path, " ", sub->get_name());
    parts->paths.push_back(absl::StrCat("\"", inner, "\""));
    Collect(*sub, inner, parts);
  }
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  Parts parts;
  Collect(app, app.get_name(), &parts);
  return absl::StrReplaceAll(kScript, {{"@name@", app.get_name()},
                                       {"@paths@", absl::StrJoin(parts.paths, " | ")},
                                       {"@words@", parts.words},
                                       {"@values@", parts.values}});
}

void AddCompletionCommand(CLI::App* app, Action* chosen) {
  CLI::App* completion =
      app->add_subcommand("completion", "Print a script that completes commands and options");
  completion->require_subcommand(1);
  CLI::App* bash = completion->add_subcommand("bash", "For bash");
  bash->footer("Example:\n  source <(mellow completion bash)");
  bash->callback([=] {
    *chosen = [=] {
      std::fputs(BashCompletion(*app).c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace mellow::cli
