#ifndef MELLOW_SERVICES_ORCHESTRATOR_ORCHESTRATOR_SERVICE_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ORCHESTRATOR_SERVICE_H_

#include "absl/time/time.h"
#include "common/rpc/call_limiter.h"
#include "common/rpc/stream_guard.h"
#include "mellow/orchestrator/v1/orchestrator.grpc.pb.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/orchestrator/run/adapter_shelf.h"
#include "services/orchestrator/run/champion_keeper.h"
#include "services/orchestrator/run/run_manager.h"

namespace mellow::orchestrator {

// The rpcs: validate, call, translate.
class OrchestratorServiceImpl final : public v1::OrchestratorService::Service {
 public:
  // What it is given must outlive it. Nodes are told to say so every `heartbeat`, and count as lost
  // after `lost_after`. A watcher that reads nothing for `watch_patience` is cut off.
  OrchestratorServiceImpl(RunManager* runs, ChampionKeeper* champions, AdapterShelf* shelf,
                          NodeRegistry* registry, absl::Duration heartbeat,
                          absl::Duration lost_after,
                          rpc::CallLimiter* limiter = rpc::CallLimiter::None(),
                          absl::Duration watch_patience = absl::Seconds(30))
      : runs_(runs),
        champions_(champions),
        shelf_(shelf),
        registry_(registry),
        heartbeat_(heartbeat),
        lost_after_(lost_after),
        limiter_(limiter),
        watches_(watch_patience, kMaxWatchers) {}

  // Watchers return; there are no new ones. Before runs->Shutdown.
  void Drain();

  grpc::Status StartRun(grpc::ServerContext* context, const v1::StartRunRequest* request,
                        v1::StartRunResponse* response) override;
  grpc::Status GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                      v1::GetRunResponse* response) override;
  grpc::Status WatchRun(grpc::ServerContext* context, const v1::WatchRunRequest* request,
                        grpc::ServerWriter<v1::WatchRunResponse>* writer) override;
  grpc::Status StopRun(grpc::ServerContext* context, const v1::StopRunRequest* request,
                       v1::StopRunResponse* response) override;
  grpc::Status ResumeRun(grpc::ServerContext* context, const v1::ResumeRunRequest* request,
                         v1::ResumeRunResponse* response) override;
  grpc::Status ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override;
  grpc::Status RegisterNode(grpc::ServerContext* context, const v1::RegisterNodeRequest* request,
                            v1::RegisterNodeResponse* response) override;
  grpc::Status ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest* request,
                         v1::ListNodesResponse* response) override;
  grpc::Status PromoteAdapter(grpc::ServerContext* context,
                              grpc::ServerReader<v1::PromoteAdapterRequest>* reader,
                              v1::PromoteAdapterResponse* response) override;
  grpc::Status RollBackChampion(grpc::ServerContext* context,
                                const v1::RollBackChampionRequest* request,
                                v1::RollBackChampionResponse* response) override;
  grpc::Status ListPromotions(grpc::ServerContext* context,
                              const v1::ListPromotionsRequest* request,
                              v1::ListPromotionsResponse* response) override;
  grpc::Status ListKeptAdapters(grpc::ServerContext* context,
                                const v1::ListKeptAdaptersRequest* request,
                                v1::ListKeptAdaptersResponse* response) override;
  grpc::Status LoadAdapter(grpc::ServerContext* context, const v1::LoadAdapterRequest* request,
                           v1::LoadAdapterResponse* response) override;

 private:
  // Each holds a thread of the rpc server, and the heartbeats of the nodes need some too.
  static constexpr int kMaxWatchers = 16;

  absl::Status StartRunImpl(const v1::StartRunRequest& request, v1::StartRunResponse* response);
  absl::Status RegisterNodeImpl(const v1::RegisterNodeRequest& request,
                                v1::RegisterNodeResponse* response);
  absl::Status PromoteAdapterImpl(grpc::ServerReader<v1::PromoteAdapterRequest>& reader,
                                  v1::PromoteAdapterResponse* response);

  RunManager* const runs_;
  ChampionKeeper* const champions_;
  AdapterShelf* const shelf_;
  NodeRegistry* const registry_;
  const absl::Duration heartbeat_;
  const absl::Duration lost_after_;
  rpc::CallLimiter* const limiter_;
  rpc::StreamGuard watches_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ORCHESTRATOR_SERVICE_H_
