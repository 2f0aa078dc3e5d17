#include <utility>

#include "common/base/status.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "services/orchestrator/clients/grpc_client.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/wire/adapter_stream.h"

namespace mellow::orchestrator {
namespace {

namespace policy_pb = policy::v1;

class GrpcPolicyClient : public PolicyClient {
 public:
  GrpcPolicyClient(std::shared_ptr<grpc::Channel> channel, std::string peer)
      : stub_(policy_pb::PolicyService::NewStub(std::move(channel))), peer_(std::move(peer)) {}

  absl::StatusOr<GenerateAnswer> Generate(const GenerateCall& call, absl::Duration timeout,
                                          std::stop_token stop) override {
    policy_pb::GenerateRequest request;
    for (const Prompt& prompt : call.prompts) {
      policy_pb::Prompt* added = request.add_prompts();
      added->mutable_tokens()->mutable_ids()->Assign(prompt.ids.begin(), prompt.ids.end());
      added->set_attend_to_pads(true);
      added->set_prompt_index(prompt.prompt_index);
      if (prompt.max_new_tokens) added->set_max_new_tokens(*prompt.max_new_tokens);
    }
    request.mutable_sampling()->ParseFromString(call.sampling.params);  // this service wrote it
    request.mutable_sampling()->set_seed(call.seed);
    request.set_adapter_version(call.adapter_version);
    request.set_lane(policy_pb::LANE_ROLLOUT);
    request.set_value_head(call.value_head);
    MELLOW_ASSIGN_OR_RETURN(policy_pb::GenerateResponse response,
                            Call(stub_.get(), &policy_pb::PolicyService::Stub::Generate, request,
                                 timeout, std::move(stop), peer_));
    GenerateAnswer answer;
    answer.adapter = AdapterRefFromProto(response.adapter());
    for (const policy_pb::Generation& generation : response.generations()) {
      answer.generations.push_back(
          {.ids = {generation.ids().begin(), generation.ids().end()},
           .logprobs = {generation.logprobs().begin(), generation.logprobs().end()},
           .finished = generation.finish_reason() == policy_pb::FINISH_REASON_EOS,
           .values = {generation.values().begin(), generation.values().end()}});
    }
    return answer;
  }

  absl::StatusOr<PairScores> ScoreTokens(absl::Span<const TokenPair> pairs, int64_t adapter_version,
                                         std::stop_token stop) override {
    policy_pb::ScoreTokensRequest request;
    for (const TokenPair& pair : pairs) ToProto(pair, request.add_pairs());
    request.set_adapter_version(adapter_version);
    MELLOW_ASSIGN_OR_RETURN(policy_pb::ScoreTokensResponse response,
                            Call(stub_.get(), &policy_pb::PolicyService::Stub::ScoreTokens, request,
                                 kShortCall, std::move(stop), peer_));
    return PairScores{LogProbsFromProto(response.logprobs()),
                      AdapterRefFromProto(response.adapter())};
  }

  absl::Status PublishAdapter(const AdapterRef& ref, const adapters::PeftFiles& files,
                              wire::Publication as, std::stop_token stop) override {
    return Send(ref, files, "", as, std::move(stop));
  }

  absl::Status FetchAdapter(const AdapterRef& ref, const std::string& source, wire::Publication as,
                            std::stop_token stop) override {
    return Send(ref, {}, source, as, std::move(stop));
  }

 private:
  absl::Status Send(const AdapterRef& ref, const adapters::PeftFiles& files,
                    const std::string& fetch_from, wire::Publication as, std::stop_token stop) {
    CallContext context(kShortCall, std::move(stop));
    policy_pb::PublishAdapterResponse response;
    auto writer = stub_->PublishAdapter(context.get(), &response);
    common::v1::AdapterRef proto;
    ToProto(ref, &proto);
    const absl::Status sent = wire::SendAdapter(
        proto, files, [&](const common::v1::AdapterChunk& chunk) { return writer->Write(chunk); },
        as, fetch_from);
    if (sent.ok()) writer->WritesDone();
    // When the peer ended the stream, its status says why; that is worth more than "the peer is
    // gone".
    const grpc::Status status = writer->Finish();
    if (!status.ok()) return context.Translate(status, peer_);
    return sent;
  }

  std::unique_ptr<policy_pb::PolicyService::Stub> stub_;
  std::string peer_;
};

}  // namespace

std::shared_ptr<PolicyClient> MakePolicyClient(std::shared_ptr<grpc::Channel> channel,
                                               std::string peer) {
  return std::make_shared<GrpcPolicyClient>(std::move(channel), std::move(peer));
}

}  // namespace mellow::orchestrator
