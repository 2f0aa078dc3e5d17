#include "services/orchestrator/orchestrator_options.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/wire/models.h"

namespace mellow::orchestrator {

absl::Status OrchestratorOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(service.Validate());
  if (policy_model.empty()) {
    return absl::InvalidArgumentError(
        "--policy-model: a Hugging Face T5 folder with its tokenizer is needed");
  }
  if (data_dir.empty()) return absl::InvalidArgumentError("--data-dir: empty");
  if (keep_adapters < 0)
    return absl::InvalidArgumentError(
        absl::StrCat("--keep-adapters ", keep_adapters, ": 0 (all) or more"));
  const struct {
    const char* flag;
    double value, high;
  } positive[] = {{"--heartbeat-seconds", heartbeat_seconds, 3600},
                  {"--lost-after-seconds", lost_after_seconds, 86400},
                  {"--canary-retry-seconds", canary_retry_seconds, 3600},
                  {"--canary-bound", canary_bound, 10}};
  for (const auto& each : positive) {
    // Written so that NaN fails.
    if (!(each.value > 0 && each.value <= each.high)) {
      return absl::InvalidArgumentError(
          absl::StrCat(each.flag, " ", each.value, ": must be positive and at most ", each.high));
    }
  }
  if (lost_after_seconds <= heartbeat_seconds) {
    return absl::InvalidArgumentError(absl::StrCat("--lost-after-seconds ", lost_after_seconds,
                                                   ": must be larger than --heartbeat-seconds ",
                                                   heartbeat_seconds));
  }
  return absl::OkStatus();
}

void AddOrchestratorFlags(CLI::App* app, OrchestratorOptions* options) {
  wire::AddServiceFlags(app, &options->service, "orchestrator");
  app->add_option("--data-dir", options->data_dir, "Folder of the ledger and of the adapters");
  app->add_option("--keep-adapters", options->keep_adapters,
                  "Newest adapters kept of a run, besides champions; 0: that of every step")
      ->capture_default_str();
  app->add_option("--policy-model", options->policy_model,
                  "Hugging Face T5 folder, or ORG/NAME[@REVISION] of the Hub's cache; only its "
                  "tokenizer is read")
      ->transform(wire::ModelFolder());
  app->add_option("--heartbeat-seconds", options->heartbeat_seconds,
                  "How often nodes say that they are there");
  app->add_option("--lost-after-seconds", options->lost_after_seconds,
                  "A node that is silent for longer is lost");
  app->add_option("--canary-retry-seconds", options->canary_retry_seconds,
                  "When a quarantined policy node is tried again");
  app->add_option("--canary-bound", options->canary_bound,
                  "Largest difference between a policy's log-probs and the learner's; fp32 differs "
                  "by 1e-5, policies with 16-bit or int8 weights need more");
}

}  // namespace mellow::orchestrator
