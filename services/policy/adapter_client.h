#ifndef MELLOW_SERVICES_POLICY_ADAPTER_CLIENT_H_
#define MELLOW_SERVICES_POLICY_ADAPTER_CLIENT_H_

#include <grpcpp/server_context.h>

#include <string>

#include "absl/status/statusor.h"
#include "services/wire/adapter_stream.h"

namespace mellow::policy {

// The adapter as the policy node at `address` has it. The call ends with `parent`. The errors of
// the call and of the stream.
[[nodiscard]] absl::StatusOr<wire::ReceivedAdapter> FetchFrom(const std::string& address,
                                                              const common::v1::AdapterRef& ref,
                                                              grpc::ServerContext* parent);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_ADAPTER_CLIENT_H_
