#include "services/orchestrator/orchestrator_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/rpc/status.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/wire/adapter_stream.h"
#include "services/wire/watch_stream.h"

namespace mellow::orchestrator {
namespace {

// Translates a StatusOr<RunStatus> into a response with a `run`.
template <typename Response>
grpc::Status AnswerRun(const absl::StatusOr<RunStatus>& run, Response* response) {
  if (!run.ok()) return rpc::ToGrpcStatus(run.status());
  ToProto(*run, response->mutable_run());
  return grpc::Status::OK;
}

}  // namespace

grpc::Status OrchestratorServiceImpl::StartRun(grpc::ServerContext* context,
                                               const v1::StartRunRequest* request,
                                               v1::StartRunResponse* response) {
  return limiter_->Answer(context, *request, [&] { return StartRunImpl(*request, response); });
}

absl::Status OrchestratorServiceImpl::StartRunImpl(const v1::StartRunRequest& request,
                                                   v1::StartRunResponse* response) {
  if (request.request_id().size() > 256) {
    return absl::InvalidArgumentError(
        absl::StrCat("request_id: ", request.request_id().size(), " characters: at most 256"));
  }
  MELLOW_ASSIGN_OR_RETURN(std::string run_id,
                          runs_->Start({request.spec().SerializeAsString(), request.request_id()}));
  response->set_run_id(std::move(run_id));
  return absl::OkStatus();
}

grpc::Status OrchestratorServiceImpl::GetRun(grpc::ServerContext* context,
                                             const v1::GetRunRequest* request,
                                             v1::GetRunResponse* response) {
  return limiter_->Answer(context, *request,
                          [&] { return AnswerRun(runs_->Get(request->run_id()), response); });
}

grpc::Status OrchestratorServiceImpl::WatchRun(grpc::ServerContext* context,
                                               const v1::WatchRunRequest* request,
                                               grpc::ServerWriter<v1::WatchRunResponse>* writer) {
  return limiter_->Answer(context, *request, [&] {
    return wire::AnswerWatch<WatchSink>(
        &watches_, context, writer, request->after_step(), [&](WatchSink* sink) {
          return runs_->Watch(request->run_id(), request->after_step(), sink);
        });
  });
}

void OrchestratorServiceImpl::Drain() { watches_.CutAll(absl::UnavailableError("shutting down")); }

grpc::Status OrchestratorServiceImpl::StopRun(grpc::ServerContext* context,
                                              const v1::StopRunRequest* request,
                                              v1::StopRunResponse* response) {
  return limiter_->Answer(context, *request,
                          [&] { return AnswerRun(runs_->Stop(request->run_id()), response); });
}

grpc::Status OrchestratorServiceImpl::ResumeRun(grpc::ServerContext* context,
                                                const v1::ResumeRunRequest* request,
                                                v1::ResumeRunResponse* response) {
  return limiter_->Answer(context, *request,
                          [&] { return AnswerRun(runs_->Resume(request->run_id()), response); });
}

grpc::Status OrchestratorServiceImpl::ListRuns(grpc::ServerContext* context,
                                               const v1::ListRunsRequest* request,
                                               v1::ListRunsResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<RunStatus> runs, runs_->List());
    for (const RunStatus& run : runs) ToProto(run, response->add_runs());
    return absl::OkStatus();
  });
}

grpc::Status OrchestratorServiceImpl::RegisterNode(grpc::ServerContext* context,
                                                   const v1::RegisterNodeRequest* request,
                                                   v1::RegisterNodeResponse* response) {
  return limiter_->Answer(context, *request, [&] { return RegisterNodeImpl(*request, response); });
}

absl::Status OrchestratorServiceImpl::RegisterNodeImpl(const v1::RegisterNodeRequest& request,
                                                       v1::RegisterNodeResponse* response) {
  MELLOW_ASSIGN_OR_RETURN(const NodeReport report, NodeReportFromProto(request));
  if (request.leaving()) {
    registry_->Leave(report.node_id, report.incarnation);
  } else {
    MELLOW_RETURN_IF_ERROR(registry_->Register(report, SteadyTime::Now()));
  }
  response->set_heartbeat_seconds(absl::ToDoubleSeconds(heartbeat_));
  response->set_lost_after_seconds(absl::ToDoubleSeconds(lost_after_));
  return absl::OkStatus();
}

grpc::Status OrchestratorServiceImpl::ListNodes(grpc::ServerContext* context,
                                                const v1::ListNodesRequest* request,
                                                v1::ListNodesResponse* response) {
  return limiter_->Answer(context, *request, [&] {
    for (const NodeStatus& node : registry_->List()) ToProto(node, response->add_nodes());
    return absl::OkStatus();
  });
}

grpc::Status OrchestratorServiceImpl::PromoteAdapter(
    grpc::ServerContext* context, grpc::ServerReader<v1::PromoteAdapterRequest>* reader,
    v1::PromoteAdapterResponse* response) {
  return limiter_->Answer(context, [&] {
    return rpc::Answer(*context, [&] { return PromoteAdapterImpl(*reader, response); });
  });
}

absl::Status OrchestratorServiceImpl::PromoteAdapterImpl(
    grpc::ServerReader<v1::PromoteAdapterRequest>& reader, v1::PromoteAdapterResponse* response) {
  v1::PromoteAdapterRequest request;
  if (!reader.Read(&request) || !request.has_order())
    return absl::InvalidArgumentError("promotion stream: the first message must be the order");
  PromotionOrder order{.request_id = request.order().request_id(),
                       .adapter = AdapterRefFromProto(request.order().adapter()),
                       .base = request.order().base(),
                       .evidence = EvidenceFromProto(request.order().evidence())};
  bool more = reader.Read(&request);
  if (more) {
    // What ReceiveAdapter asks for first was read to see whether it is there.
    const auto next = [&](common::v1::AdapterChunk* chunk) {
      if (!more || !request.has_chunk()) return false;
      *chunk = std::move(*request.mutable_chunk());
      more = reader.Read(&request);
      return true;
    };
    MELLOW_ASSIGN_OR_RETURN(wire::ReceivedAdapter received,
                            wire::ReceiveAdapter(next, wire::kMaxAdapterBytes));
    if (more) return absl::InvalidArgumentError("promotion stream: a second order");
    if (received.ref.sha256() != order.adapter.sha256)
      return absl::InvalidArgumentError(absl::StrCat("chunk.header.adapter.sha256 ",
                                                     received.ref.sha256(), ": the order says ",
                                                     order.adapter.sha256));
    order.files = std::move(received.files);
  }
  MELLOW_ASSIGN_OR_RETURN(const PromotionEvent event, champions_->Promote(order));
  ToProto(event, response->mutable_event());
  return absl::OkStatus();
}

grpc::Status OrchestratorServiceImpl::RollBackChampion(grpc::ServerContext* context,
                                                       const v1::RollBackChampionRequest* request,
                                                       v1::RollBackChampionResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const PromotionEvent event,
                            champions_->RollBack(request->request_id(), request->reason()));
    ToProto(event, response->mutable_event());
    return absl::OkStatus();
  });
}

grpc::Status OrchestratorServiceImpl::ListPromotions(grpc::ServerContext* context,
                                                     const v1::ListPromotionsRequest* request,
                                                     v1::ListPromotionsResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, champions_->History());
    for (const PromotionEvent& event : history) ToProto(event, response->add_events());
    if (!history.empty() && history.back().champion)
      ToProto(history.back().champion->ref, response->mutable_champion());
    response->set_trouble(champions_->Trouble());
    return absl::OkStatus();
  });
}

grpc::Status OrchestratorServiceImpl::ListKeptAdapters(grpc::ServerContext* context,
                                                       const v1::ListKeptAdaptersRequest* request,
                                                       v1::ListKeptAdaptersResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ShelvedAdapter> adapters, shelf_->List());
    for (const ShelvedAdapter& adapter : adapters) {
      v1::KeptAdapter* kept = response->add_adapters();
      ToProto(adapter.ref, kept->mutable_adapter());
      kept->set_run_id(adapter.run_id);
      kept->set_step(adapter.step);
      kept->set_learner_path(adapter.learner_path);
      kept->set_has_files(!adapter.path.empty());
      kept->set_path(adapter.path);
      kept->set_promotion(adapter.promotion);
      kept->set_withdrawn(adapter.withdrawn);
    }
    return absl::OkStatus();
  });
}

grpc::Status OrchestratorServiceImpl::LoadAdapter(grpc::ServerContext* context,
                                                  const v1::LoadAdapterRequest* request,
                                                  v1::LoadAdapterResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const AdapterRef loaded, shelf_->Load(request->version()));
    ToProto(loaded, response->mutable_adapter());
    return absl::OkStatus();
  });
}

}  // namespace mellow::orchestrator
