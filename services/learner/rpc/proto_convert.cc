#include "services/learner/rpc/proto_convert.h"

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/wire/ppo_config.h"
#include "services/wire/proto_json.h"

namespace mellow::learner {

absl::StatusOr<RunSettings> FromProto(const v1::OpenRunRequest& request) {
  RunSettings settings;
  settings.run_id = request.run_id();
  MELLOW_ASSIGN_OR_RETURN(settings.config, wire::PpoConfigFromProto(request.config()));
  settings.config_json = wire::ToJson(request.config());
  settings.start_adapter = request.start_adapter();
  settings.start_version = request.start_version();
  if (settings.start_version < 0)
    return absl::InvalidArgumentError(
        absl::StrCat("start_version ", settings.start_version, ": must not be negative"));
  settings.keep_checkpoints = request.keep_checkpoints();
  if (!request.has_fork()) return settings;
  const v1::OpenRunRequest::Fork& fork = request.fork();
  if (fork.step() < 0 || fork.after_step() < fork.step())
    return absl::InvalidArgumentError(absl::StrCat("fork.step ", fork.step(), ", fork.after_step ",
                                                   fork.after_step(),
                                                   ": must not be negative, the second not less"));
  if (!(fork.learning_rate_factor() > 0 && fork.learning_rate_factor() <= 1))
    return absl::InvalidArgumentError(absl::StrCat("fork.learning_rate_factor ",
                                                   fork.learning_rate_factor(),
                                                   ": must be more than 0 and at most 1"));
  settings.fork = {fork.run_id(), fork.step(), fork.after_step(), fork.learning_rate_factor()};
  settings.config.learning_rate *= fork.learning_rate_factor();
  return settings;
}

rl::Rollout FromProto(const v1::Rollout& rollout, const std::string& sampler_precision,
                      const StepWeights& current) {
  rl::Rollout out;
  out.query_ids.assign(rollout.query_ids().begin(), rollout.query_ids().end());
  out.response_ids.assign(rollout.response_ids().begin(), rollout.response_ids().end());
  out.score = rollout.score();
  out.behavior_logprobs.assign(rollout.behavior_logprobs().begin(),
                               rollout.behavior_logprobs().end());
  out.stale = (rollout.has_adapter() && rollout.adapter().version() < current.version) ||
              (!sampler_precision.empty() && sampler_precision != current.precision);
  if (rollout.has_adapter() && rollout.adapter().version() == current.version &&
      rollout.value_head_sha256() == current.value_head_sha256)
    out.values.assign(rollout.values().begin(), rollout.values().end());
  // The base model is version 0, whatever hash is said with it.
  const common::v1::AdapterRef& reference = rollout.reference();
  if (rollout.has_reference() &&
      (current.reference_sha256.empty() ? reference.version() == 0
                                        : reference.sha256() == current.reference_sha256))
    out.reference_logprobs.assign(rollout.reference_logprobs().begin(),
                                  rollout.reference_logprobs().end());
  return out;
}

std::vector<WorkerNode> WorkersFromProto(const v1::TrainRequest& request) {
  std::vector<WorkerNode> workers;
  for (const v1::LearnerWorker& worker : request.workers())
    workers.push_back({worker.node_id(), worker.address(), worker.incarnation(), worker.device()});
  return workers;
}

void ToProto(const PpoStepRecord& record, v1::TrainResponse* response) {
  response->mutable_adapter()->set_version(record.version);
  response->mutable_adapter()->set_sha256(record.sha256);
  for (const auto& [name, value] : record.stats) (*response->mutable_stats())[name] = value;
  response->set_seconds(record.seconds);
}

}  // namespace mellow::learner
