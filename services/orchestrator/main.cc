// mellow_orchestrator_server: coordinates runs over the nodes that register.

#include "absl/strings/str_cat.h"
#include "common/base/folder_lock.h"
#include "common/base/status.h"
#include "common/nn/t5_config.h"
#include "common/obs/log.h"
#include "common/text/load_tokenizer.h"
#include "services/orchestrator/clients/grpc_client.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"
#include "services/orchestrator/orchestrator_options.h"
#include "services/orchestrator/orchestrator_service.h"
#include "services/orchestrator/run_methods.h"

namespace mellow::orchestrator {
namespace {

// What the policy's responses begin with. A folder may hold the tokenizer alone; then it is T5's.
absl::StatusOr<int32_t> DecoderStartToken(const std::string& folder) {
  const absl::StatusOr<nn::T5Config> config = nn::ReadT5Config(folder);
  if (absl::IsNotFound(config.status())) return nn::T5Config().decoder_start_token_id;
  MELLOW_RETURN_IF_ERROR(config.status());
  return config->decoder_start_token_id;
}

absl::Status Serve(const OrchestratorOptions& options) {
  MELLOW_RETURN_IF_ERROR(options.Validate());
  MELLOW_ASSIGN_OR_RETURN(const auto security, wire::ServiceSecurity::Start(options.service));
  MELLOW_ASSIGN_OR_RETURN(auto tokenizer, text::LoadTokenizer(options.policy_model));
  MELLOW_ASSIGN_OR_RETURN(const int32_t start_token, DecoderStartToken(options.policy_model));
  MELLOW_ASSIGN_OR_RETURN(const auto data_dir, FolderLock::Acquire(options.data_dir));
  MELLOW_ASSIGN_OR_RETURN(auto ledger,
                          SqliteLedger::Open(absl::StrCat(options.data_dir, "/ledger.db")));
  const absl::Duration lost_after = absl::Seconds(options.lost_after_seconds);
  obs::Metrics registry_of_metrics;
  OrchestratorMetrics metrics(&registry_of_metrics);
  NodeRegistry registry(lost_after);
  const std::unique_ptr<NodeClients> clients = MakeGrpcNodeClients();
  AdapterStore adapters(absl::StrCat(options.data_dir, "/adapters"));
  NodeSupervisor supervisor(&registry, clients.get(), &metrics,
                            absl::Seconds(options.canary_retry_seconds));
  const DriverParts parts{
      ledger.get(), &registry,       clients.get(),        &supervisor, &adapters,
      &metrics,     tokenizer.get(), options.canary_bound, start_token, options.keep_adapters};
  ChampionKeeper champions(parts);
  MELLOW_RETURN_IF_ERROR(champions.Recover());
  RunManager runs(parts, [&parts](const std::string& spec) { return MethodOfRun(parts, spec); });
  MELLOW_RETURN_IF_ERROR(runs.Recover());
  const auto limiter = security.MakeLimiter(options.service, {}, &registry_of_metrics);
  AdapterShelf shelf(parts);
  OrchestratorServiceImpl service(&runs, &champions, &shelf, &registry,
                                  absl::Seconds(options.heartbeat_seconds), lost_after,
                                  limiter.get());
  return wire::ServeUntilSignal(options.service, security,
                                {.services = {&service},
                                 .names = {v1::OrchestratorService::service_full_name()},
                                 .metrics = &registry_of_metrics,
                                 .drain = [&] {
                                   service.Drain();
                                   champions.Shutdown();
                                   shelf.Shutdown();
                                   runs.Shutdown();
                                 }});
}

}  // namespace
}  // namespace mellow::orchestrator

int main(int argc, char** argv) {
  mellow::orchestrator::OrchestratorOptions options;
  return mellow::wire::RunServer(
      argc, argv,
      "Mellow orchestrator: trains by PPO and by supervision over the nodes that register.",
      "mellow_orchestrator_server",
      [&](CLI::App* app) { mellow::orchestrator::AddOrchestratorFlags(app, &options); },
      options.service, [&] { return mellow::orchestrator::Serve(options); });
}
