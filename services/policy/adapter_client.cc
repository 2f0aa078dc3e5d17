#include "services/policy/adapter_client.h"

#include "common/rpc/client.h"
#include "common/rpc/deadline.h"
#include "common/rpc/status.h"
#include "mellow/policy/v1/policy.grpc.pb.h"

namespace mellow::policy {
namespace {

// How long one transfer between nodes may take; the orchestrator sends the adapter itself to a node
// that could not get it.
constexpr absl::Duration kFetchTimeout = absl::Seconds(10);

}  // namespace

absl::StatusOr<wire::ReceivedAdapter> FetchFrom(const std::string& address,
                                                const common::v1::AdapterRef& ref,
                                                grpc::ServerContext* parent) {
  const auto stub = v1::PolicyService::NewStub(rpc::MakeChannel(address));
  const auto context = grpc::ClientContext::FromServerContext(*parent);  // ends with its caller
  rpc::SetTimeout(context.get(), kFetchTimeout);
  v1::FetchAdapterRequest request;
  *request.mutable_adapter() = ref;
  const auto reader = stub->FetchAdapter(context.get(), request);
  auto received = wire::ReceiveAdapter(
      [&](common::v1::AdapterChunk* chunk) { return reader->Read(chunk); }, wire::kMaxAdapterBytes);
  // A peer that refused says why: that is worth more than "the stream is too short".
  for (common::v1::AdapterChunk rest; reader->Read(&rest);) {
  }
  if (const grpc::Status status = reader->Finish(); !status.ok())
    return rpc::FromGrpcStatus(status, address);
  return received;
}

}  // namespace mellow::policy
