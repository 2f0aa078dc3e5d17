#include "services/review/review_options.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::review {
namespace {

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "::1" || host == "[::1]") return true;
  in_addr address = {};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace

absl::Status ReviewOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(process.Validate());
  if (study.empty())
    return absl::InvalidArgumentError("--study: a file of `mellow review new` is needed");
  if (!(requests_per_second > 0 && requests_per_second <= 1e6))
    return absl::InvalidArgumentError(
        absl::StrCat("--requests-per-second ", requests_per_second, ": above 0, at most 1000000"));
  const std::string host = process.address.substr(0, process.address.rfind(':'));
  if (!allow_remote && !IsLoopback(host)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--address ", process.address,
        ": others could reach it, and links travel unencrypted; put a proxy with TLS in front of a "
        "loopback address, or say --allow-remote"));
  }
  return absl::OkStatus();
}

void AddReviewFlags(CLI::App* app, ReviewOptions* options) {
  wire::AddProcessFlags(app, &options->process, "review", "HTTP");
  app->add_option("--study", options->study, "SQLite file that `mellow review new` made")
      ->required();
  app->add_flag("--wait-for-study", options->wait_for_study,
                "Serve before the study's file is there too, and take it when it comes");
  app->add_flag("--allow-remote", options->allow_remote,
                "Let --address be one that other machines reach. There is no encryption: whoever "
                "listens on the way can read the links and answer in people's names");
  app->add_option("--requests-per-second", options->requests_per_second,
                  "Of one person, on average; more are told to wait");
}

}  // namespace mellow::review
