#include "services/learner/serve_worker.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/base/status.h"
#include "common/nn/weights/model_hash.h"
#include "common/obs/log.h"
#include "services/learner/rpc/gradient_service.h"
#include "services/wire/service_main.h"

namespace mellow::learner {

absl::Status ServeWorker(const LearnerOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const auto security, wire::ServiceSecurity::Start(options.service));
  train::TrainerOptions trainer;
  MELLOW_ASSIGN_OR_RETURN(trainer.device, nn::ResolveDevice(options.device));
  trainer.threads = options.threads > 0
                        ? options.threads
                        : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const nn::ModelHash model_hash(options.model);
  MELLOW_ASSIGN_OR_RETURN(auto worker, rl::GroupWorker::Create(options.model, trainer));
  wire::LogModelWarnings(worker->model_config().warnings);
  obs::Log(obs::Severity::kInfo, "model loaded",
           {{"model", options.model},
            {"device", trainer.device.ToString()},
            {"threads", trainer.threads}});

  obs::Metrics metrics;
  const auto limiter = security.MakeLimiter(options.service, {}, &metrics);
  GradientServiceImpl service(std::move(worker), &metrics, limiter.get());
  const auto describe = [&] {
    orchestrator::v1::RegisterNodeRequest request;
    request.set_role(orchestrator::v1::NODE_ROLE_LEARNER_WORKER);
    common::v1::NodeCapacity* const capacity = request.mutable_capacity();
    capacity->set_device(trainer.device.ToString());
    capacity->set_threads(trainer.threads);
    capacity->set_tokens_per_second(service.tokens_per_second());
    capacity->set_model(options.model);
    capacity->set_model_sha256(model_hash.Get().value_or(""));
    capacity->set_precision("float32");  // as the learner's
    request.set_stalled_seconds(absl::ToDoubleSeconds(service.Stalled()));
    return request;
  };
  return wire::ServeUntilSignal(options.service, security,
                                {.services = {&service},
                                 .names = {v1::GradientService::service_full_name()},
                                 .metrics = &metrics,
                                 .describe = describe,
                                 .drain = [&] { service.Drain(); }});
}

}  // namespace mellow::learner
