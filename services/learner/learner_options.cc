#include "services/learner/learner_options.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/wire/models.h"

namespace mellow::learner {

absl::Status LearnerOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(service.Validate());
  if (model.empty())
    return absl::InvalidArgumentError("--model: a Hugging Face T5 folder is needed");
  if (worker != checkpoint_dir.empty())
    return absl::InvalidArgumentError(
        worker ? absl::StrCat("--checkpoint-dir ", checkpoint_dir, ": a --worker keeps none")
               : "--checkpoint-dir: a folder is needed");
  if (threads < 0 || threads > 1024)
    return absl::InvalidArgumentError(absl::StrCat("--threads ", threads, ": between 0 and 1024"));
  if (keep_checkpoints < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("--keep-checkpoints ", keep_checkpoints, ": at least 1"));
  if (keep_adapters < 0)
    return absl::InvalidArgumentError(
        absl::StrCat("--keep-adapters ", keep_adapters, ": 0 (all) or more"));
  return absl::OkStatus();
}

void AddLearnerFlags(CLI::App* app, LearnerOptions* options) {
  wire::AddServiceFlags(app, &options->service, "learner-0");
  app->add_option("--model", options->model,
                  "Hugging Face T5 folder, or ORG/NAME[@REVISION] of the Hub's cache: the policy's "
                  "base model")
      ->transform(wire::ModelFolder())
      ->required();
  app->add_option("--checkpoint-dir", options->checkpoint_dir,
                  "Where runs keep their checkpoints and adapters (but for a --worker)");
  app->add_flag("--worker", options->worker,
                "Compute gradients for the learner, which asks for them; keeps nothing");
  app->add_option("--device", options->device, "auto, cpu or cuda:N");
  app->add_option("--threads", options->threads, "Threads that compute (0: all cores)");
  app->add_option("--keep-checkpoints", options->keep_checkpoints,
                  "Newest checkpoints kept of a run, with all that it needs to go on")
      ->capture_default_str();
  app->add_option("--keep-adapters", options->keep_adapters,
                  "Newest adapters kept of a PPO run, to start others from; 0: that of every step")
      ->capture_default_str();
}

}  // namespace mellow::learner
