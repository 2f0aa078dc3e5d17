// mellow_reward_server: scores texts with a sequence classifier.
#include <optional>
#include <thread>

#include "common/base/status.h"
#include "common/nn/labels.h"
#include "common/nn/load.h"
#include "common/obs/log.h"
#include "common/text/load_tokenizer.h"
#include "services/reward/reward_service.h"
#include "services/reward/warm_up.h"
#include "services/wire/service_main.h"

namespace mellow::reward {
namespace {

absl::Status Serve(RewardOptions options) {
  MELLOW_RETURN_IF_ERROR(options.Validate());
  MELLOW_ASSIGN_OR_RETURN(const auto security, wire::ServiceSecurity::Start(options.service));
  if (options.threads == 0) options.threads = static_cast<int>(std::thread::hardware_concurrency());
  nn::LoadOptions load;
  load.threads = options.threads;
  MELLOW_ASSIGN_OR_RETURN(load.device, nn::ResolveDevice(options.device));
  MELLOW_ASSIGN_OR_RETURN(load.weights, nn::ParseWeightType(options.dtype));
  const nn::ModelHash model_hash(options.model);
  MELLOW_ASSIGN_OR_RETURN(auto model, nn::LoadSequenceClassifier(options.model, load));
  MELLOW_ASSIGN_OR_RETURN(auto tokenizer, text::LoadTokenizer(options.model));
  std::optional<int> toxic;
  // Nobody asks a judge for toxicity: a run takes the logit of a label that it names.
  const bool needed = !options.judge || !options.toxic_label.empty();
  if (const absl::StatusOr<int> found = nn::ToxicLabel(model->config().labels, options.toxic_label);
      found.ok()) {
    toxic = *found;
  } else if (needed) {
    return Annotate(found.status(), "--toxic-label");
  }
  MELLOW_ASSIGN_OR_RETURN(const double speed, WarmUp(*model));
  obs::Log(obs::Severity::kInfo, "model loaded",
           {{"model", options.model},
            {"device", load.device.ToString()},
            {"threads", options.threads},
            {"parameters", model->parameter_count()},
            {"toxic_label", toxic ? model->config().labels[*toxic] : "none"},
            {"tokens_per_second", speed}});

  wire::LogModelWarnings(model->config().warnings);
  wire::LogModelWarnings(tokenizer->warnings());

  obs::Metrics metrics;
  const wire::MessageNeeds messages{options.MessageBytes(model->config().max_tokens())};
  const auto limiter = security.MakeLimiter(options.service, messages, &metrics);
  RewardEngine engine(
      model.get(),
      {options.max_batch_tokens, options.queue_capacity, absl::Milliseconds(options.linger_ms)},
      &metrics);
  engine.SeedSpeed(speed);
  RewardServiceImpl service(options, load.device.ToString(), toxic, model.get(), &model_hash,
                            tokenizer.get(), &engine, &metrics, limiter.get());
  const auto describe = [&] {
    orchestrator::v1::RegisterNodeRequest request;
    request.set_role(options.judge ? orchestrator::v1::NODE_ROLE_JUDGE
                                   : orchestrator::v1::NODE_ROLE_REWARD);
    *request.mutable_capacity() = service.Capacity();
    request.set_stalled_seconds(absl::ToDoubleSeconds(engine.Stalled()));
    return request;
  };
  return wire::ServeUntilSignal(options.service, security,
                                {.services = {&service},
                                 .names = {v1::RewardService::service_full_name()},
                                 .metrics = &metrics,
                                 .messages = messages,
                                 .describe = describe,
                                 .drain = [&] { engine.Drain(); }});
}

}  // namespace
}  // namespace mellow::reward

int main(int argc, char** argv) {
  mellow::reward::RewardOptions options;
  return mellow::wire::RunServer(
      argc, argv, "Mellow reward server: toxicity of texts.", "mellow_reward_server",
      [&](CLI::App* app) { mellow::reward::AddRewardFlags(app, &options); }, options.service,
      [&] { return mellow::reward::Serve(options); });
}
