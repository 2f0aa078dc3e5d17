// mellow_policy_server: generates summaries and rollouts.
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/load.h"
#include "common/obs/log.h"
#include "common/text/load_tokenizer.h"
#include "services/policy/policy_service.h"
#include "services/policy/proto_convert.h"
#include "services/policy/warm_up.h"
#include "services/wire/service_main.h"

namespace mellow::policy {
namespace {

absl::Status Serve(PolicyOptions options) {
  MELLOW_RETURN_IF_ERROR(options.Validate());
  MELLOW_ASSIGN_OR_RETURN(const auto security, wire::ServiceSecurity::Start(options.service));
  if (options.threads == 0) options.threads = static_cast<int>(std::thread::hardware_concurrency());
  nn::LoadOptions load;
  load.threads = options.threads;
  MELLOW_ASSIGN_OR_RETURN(load.device, nn::ResolveDevice(options.device));
  MELLOW_ASSIGN_OR_RETURN(load.weights, nn::ParseWeightType(options.dtype));
  const nn::ModelHash model_hash(options.model);
  MELLOW_ASSIGN_OR_RETURN(auto model, nn::LoadSeq2SeqModel(options.model, load));
  if (const int beams = model->config().generation.sampling.num_beams; beams > options.max_rows)
    return absl::FailedPreconditionError(
        absl::StrCat(options.model, "/generation_config.json: num_beams ", beams,
                     " is more than --max-rows ", options.max_rows));
  MELLOW_ASSIGN_OR_RETURN(auto tokenizer, text::LoadTokenizer(options.model));
  MELLOW_ASSIGN_OR_RETURN(const double speed, WarmUp(*model));
  obs::Log(obs::Severity::kInfo, "model loaded",
           {{"model", options.model},
            {"device", load.device.ToString()},
            {"dtype", options.dtype},
            {"threads", options.threads},
            {"parameters", model->parameter_count()},
            {"tokens_per_second", speed}});

  wire::LogModelWarnings(model->config().warnings);
  wire::LogModelWarnings(tokenizer->warnings());

  obs::Metrics metrics;
  const wire::MessageNeeds messages{options.MessageBytes(), options.OneTextBytes()};
  const auto limiter = security.MakeLimiter(options.service, messages, &metrics);
  AdapterTable adapters(options.max_adapters);
  PolicyEngine engine(
      model.get(), {options.max_rows, options.max_batch_tokens, options.queue_capacity}, &metrics);
  engine.SeedSpeed(speed);
  PolicyServiceImpl service(options, load.device.ToString(), model.get(), &model_hash,
                            tokenizer.get(), &adapters, &engine, &metrics, limiter.get());
  const auto describe = [&] {
    orchestrator::v1::RegisterNodeRequest request;
    request.set_role(orchestrator::v1::NODE_ROLE_POLICY);
    *request.mutable_capacity() = service.Capacity();
    request.set_stalled_seconds(absl::ToDoubleSeconds(engine.Stalled()));
    for (const auto& adapter : adapters.List()) *request.add_adapters() = ToProto(*adapter);
    return request;
  };
  return wire::ServeUntilSignal(options.service, security,
                                {.services = {&service},
                                 .names = {v1::PolicyService::service_full_name()},
                                 .metrics = &metrics,
                                 .messages = messages,
                                 .describe = describe,
                                 .drain = [&] { engine.Drain(); }});
}

}  // namespace
}  // namespace mellow::policy

int main(int argc, char** argv) {
  mellow::policy::PolicyOptions options;
  return mellow::wire::RunServer(
      argc, argv, "Mellow policy server: generates summaries for users and rollouts for PPO.",
      "mellow_policy_server", [&](CLI::App* app) { mellow::policy::AddPolicyFlags(app, &options); },
      options.service, [&] { return mellow::policy::Serve(options); });
}
