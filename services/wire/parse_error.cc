#include "services/wire/parse_error.h"

#include <CLI/CLI.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/nearest_name.h"

namespace mellow::wire {
namespace {

// The flags of the command that was chosen and of those around it, or the commands below it.
std::vector<std::string> Candidates(const CLI::App& root, bool flags) {
  std::vector<std::string> names;
  const CLI::App* app = &root;
  while (true) {
    if (flags) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    const std::vector<CLI::App*> chosen = app->get_subcommands();
    if (chosen.empty()) break;
    app = chosen.back();
  }
  if (!flags) {
    const auto shown = [](const CLI::App* sub) { return !sub->get_group().empty(); };
    for (const CLI::App* sub : app->get_subcommands(shown)) names.push_back(sub->get_name());
  }
  return names;
}

}  // namespace

std::string ExplainParseError(const CLI::App& app, const CLI::ParseError& error) {
  // CLI11 complains of what is missing before it looks at what it does not know; a typing error
  // explains both.
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (unknown.empty()) return absl::StrCat(error.what(), " (try --help)");
  const std::string name = unknown[0].substr(0, unknown[0].find('='));
  const bool flag = absl::StartsWith(name, "-");
  return absl::StrCat("unknown argument '", unknown[0], "'",
                      DidYouMean(name, Candidates(app, flag)), " (try --help)");
}

}  // namespace mellow::wire
