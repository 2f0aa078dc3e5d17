#include "services/learner/rpc/gradient_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/call_context.h"
#include "mellow/learner/v1/gradients.grpc.pb.h"
#include "services/learner/rpc/gradient_proto_convert.h"

namespace mellow::learner {
namespace {

class GrpcGradientPeer : public GradientPeer {
 public:
  GrpcGradientPeer(std::shared_ptr<grpc::Channel> channel, std::string peer)
      : stub_(v1::GradientService::NewStub(std::move(channel))), peer_(std::move(peer)) {}

  absl::Status PutWeights(const PackedWeights& weights, std::stop_token stop) override {
    rpc::CallContext context(absl::InfiniteDuration(), std::move(stop));
    v1::PutWeightsResponse response;
    auto writer = stub_->PutWeights(context.get(), &response);
    // A stream that the peer ends early is judged by its status.
    (void)SendWeights(weights, [&writer](const v1::PutWeightsRequest& message) {
      return writer->Write(message);
    });
    writer->WritesDone();
    return context.Translate(writer->Finish(), peer_);
  }

  absl::StatusOr<rl::Evaluation> Evaluate(const std::string& current, const std::string& reference,
                                          const rl::EvaluationTask& task,
                                          std::stop_token stop) override {
    v1::EvaluateRequest request;
    ToProto(task, &request);
    request.set_weights_sha256(current);
    request.set_reference_sha256(reference);
    MELLOW_ASSIGN_OR_RETURN(const v1::EvaluateResponse response,
                            rpc::Call(stub_.get(), &v1::GradientService::Stub::Evaluate, request,
                                      absl::InfiniteDuration(), std::move(stop), peer_));
    return FromProto(task, response);
  }

  absl::StatusOr<rl::GradientAnswer> Gradient(const std::string& current,
                                              const rl::GradientTask& task,
                                              std::stop_token stop) override {
    v1::ComputeGradientRequest request;
    ToProto(task, &request);
    request.set_weights_sha256(current);
    rpc::CallContext context(absl::InfiniteDuration(), std::move(stop));
    auto reader = stub_->ComputeGradient(context.get(), request);
    bool ended = false;
    absl::StatusOr<rl::GradientAnswer> answer =
        ReceiveGradient([&](v1::ComputeGradientResponse* message) {
          ended = !reader->Read(message);
          return !ended;
        });
    if (!ended) context.get()->TryCancel();
    const grpc::Status status = reader->Finish();
    // One that ended by itself, however early, is judged by its status; one that we ended for what
    // it said by what it said.
    if (!status.ok() && ended) return context.Translate(status, peer_);
    if (!answer.ok()) return Annotate(answer.status(), peer_);
    return answer;
  }

 private:
  std::unique_ptr<v1::GradientService::Stub> stub_;
  std::string peer_;
};

}  // namespace

std::shared_ptr<GradientPeer> MakeGradientPeer(std::shared_ptr<grpc::Channel> channel,
                                               std::string peer) {
  return std::make_shared<GrpcGradientPeer>(std::move(channel), std::move(peer));
}

std::shared_ptr<GradientPeer> ConnectToWorker(const WorkerNode& node) {
  return MakeGradientPeer(rpc::MakeChannel(node.address),
                          absl::StrCat(node.node_id, " at ", node.address));
}

}  // namespace mellow::learner
