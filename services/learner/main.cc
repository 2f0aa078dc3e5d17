// mellow_learner_server: PPO on LoRA weights and a value head, and supervised fine-tuning.
#include <malloc.h>

#include <algorithm>
#include <thread>

#include "common/base/folder_lock.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"
#include "common/obs/log.h"
#include "services/learner/rpc/learner_service.h"
#include "services/learner/rpc/sft_service.h"
#include "services/learner/serve_worker.h"
#include "services/wire/service_main.h"

namespace mellow::learner {
namespace {

// The weights are loaded when a run is opened; a wrong folder should not wait for that.
absl::Status CheckModel(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const nn::PretrainedT5 model, nn::ReadPretrainedT5(folder));
  wire::LogModelWarnings(model.config.warnings);
  return absl::OkStatus();
}

absl::Status Serve(LearnerOptions options) {
  MELLOW_RETURN_IF_ERROR(options.Validate());
  if (options.worker) return ServeWorker(options);
  MELLOW_ASSIGN_OR_RETURN(const auto security, wire::ServiceSecurity::Start(options.service));
  // Before anything is written: two learners would each cut off what the other one records.
  MELLOW_ASSIGN_OR_RETURN(const auto checkpoints, FolderLock::Acquire(options.checkpoint_dir));
  if (options.threads == 0) options.threads = static_cast<int>(std::thread::hardware_concurrency());
  PpoSession::Options session{
      options.model, options.checkpoint_dir, options.keep_checkpoints, {}, options.keep_adapters};
  MELLOW_ASSIGN_OR_RETURN(session.trainer.device, nn::ResolveDevice(options.device));
  session.trainer.threads = options.threads;
  const nn::ModelHash model_hash(options.model);
  MELLOW_RETURN_IF_ERROR(CheckModel(options.model));

  obs::Metrics metrics;
  ComputeTurns turns;
  const auto limiter = security.MakeLimiter(options.service, {}, &metrics);
  LearnerServiceImpl service(session, &model_hash, &turns, &metrics, limiter.get());
  SftRunner runner({session.model,
                    session.checkpoint_dir,
                    session.keep_checkpoints,
                    {session.trainer.device, session.trainer.threads}},
                   &turns, &metrics);
  SftServiceImpl sft_service(&runner, service.owner(), limiter.get());
  const auto describe = [&] {
    orchestrator::v1::RegisterNodeRequest request;
    request.set_role(orchestrator::v1::NODE_ROLE_LEARNER);
    *request.mutable_capacity() = service.Capacity();
    request.set_stalled_seconds(
        absl::ToDoubleSeconds(std::max(service.Stalled(), runner.Stalled())));
    return request;
  };
  return wire::ServeUntilSignal(
      options.service, security,
      {.services = {&service, &sft_service},
       .names = {v1::LearnerService::service_full_name(), v1::SftService::service_full_name()},
       .metrics = &metrics,
       .describe = describe,
       .drain = [&] {
         service.Drain();
         runner.Drain();
         sft_service.Drain();
       }});
}

}  // namespace
}  // namespace mellow::learner

int main(int argc, char** argv) {
  // A step is computed on the thread of the call that asked for it. With an arena for each of
  // gRPC's threads glibc would keep a step's peak of freed memory in every one of them.
  mallopt(M_ARENA_MAX, 2);
  mellow::learner::LearnerOptions options;
  return mellow::wire::RunServer(
      argc, argv, "Mellow learner server: trains LoRA adapters by PPO and by supervision.",
      "mellow_learner_server",
      [&](CLI::App* app) { mellow::learner::AddLearnerFlags(app, &options); }, options.service,
      [&] { return mellow::learner::Serve(options); });
}
