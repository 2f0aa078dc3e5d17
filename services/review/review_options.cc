#include "services/review/review_options.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::review {
absl::Status ReviewOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(process.Validate());
  if (study.empty())
    return absl::InvalidArgumentError("--study: a file of `mellow review new` is needed");
  if (!(requests_per_second > 0 && requests_per_second <= 1e6))
    return absl::InvalidArgumentError(
        absl::StrCat("--requests-per-second ", requests_per_second, ": above 0, at most 1000000"));
  return absl::OkStatus();
}

void AddReviewFlags(CLI::App* app, ReviewOptions* options) {
  wire::AddProcessFlags(app, &options->process, "review", "HTTP");
  app->add_option("--study", options->study, "SQLite file that `mellow review new` made")
      ->required();
  app->add_flag("--wait-for-study", options->wait_for_study,
                "Serve before the study's file is there too, and take it when it comes");
  app->add_option("--requests-per-second", options->requests_per_second,
                  "Requests of one person, on average; more are told to wait");
}

}  // namespace mellow::review
