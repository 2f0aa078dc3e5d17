#include "services/wire/node_registration.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "mellow/orchestrator/v1/orchestrator.grpc.pb.h"

namespace mellow::wire {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(2);
// A process that ends does not wait longer to say so.
constexpr absl::Duration kGoodbyeTimeout = absl::Seconds(1);

}  // namespace

std::unique_ptr<NodeRegistration> NodeRegistration::Start(
    const std::string& orchestrator_address, const std::string& node_id,
    std::function<orchestrator::v1::RegisterNodeRequest()> describe) {
  auto registration = std::unique_ptr<NodeRegistration>(new NodeRegistration());
  registration->describe_ = std::move(describe);
  orchestrator::v1::RegisterNodeRequest base;
  base.set_node_id(node_id);
  // Not the time: after a restart in a container the process has the same id, and the clock of a
  // machine that just came up may be set back.
  std::random_device random;
  base.set_incarnation(absl::StrCat(getpid(), "-", absl::Hex(random()), absl::Hex(random())));
  registration->thread_ = std::jthread([self = registration.get(), orchestrator_address, base] {
    self->Loop(orchestrator_address, base);
  });
  return registration;
}

NodeRegistration::~NodeRegistration() { stop_.Set(); }

void NodeRegistration::Loop(const std::string& orchestrator_address,
                            orchestrator::v1::RegisterNodeRequest base) {
  auto stub =
      orchestrator::v1::OrchestratorService::NewStub(rpc::MakeChannel(orchestrator_address));
  orchestrator::v1::RegisterNodeResponse response;
  const auto say = [&](bool leaving, absl::Duration timeout) {
    orchestrator::v1::RegisterNodeRequest request = describe_();
    request.set_node_id(base.node_id());
    request.set_incarnation(base.incarnation());
    request.set_leaving(leaving);
    grpc::ClientContext context;
    rpc::SetTimeout(&context, timeout);
    return rpc::FromGrpcStatus(stub->RegisterNode(&context, request, &response),
                               absl::StrCat("orchestrator at ", orchestrator_address));
  };
  bool known = false;
  bool complained = false;
  while (true) {
    const absl::Status status = say(/*leaving=*/false, kCallTimeout);
    if (status.ok() && !known)
      obs::Log(obs::Severity::kInfo, "registered with the orchestrator",
               {{"orchestrator", orchestrator_address}});
    if (!status.ok() && (known || !complained)) {
      obs::Log(obs::Severity::kWarning, "cannot register, trying on",
               {{"error", status.ToString()}});
      complained = true;
    }
    known = status.ok();
    const absl::Duration pause = known ? absl::Seconds(std::max(0.05, response.heartbeat_seconds()))
                                       : absl::Milliseconds(300);
    if (stop_.WaitFor(pause)) break;
  }
  if (!known) return;
  if (const absl::Status status = say(/*leaving=*/true, kGoodbyeTimeout); !status.ok())
    obs::Log(obs::Severity::kInfo, "the orchestrator did not hear the goodbye",
             {{"error", status.ToString()}});
}

}  // namespace mellow::wire
