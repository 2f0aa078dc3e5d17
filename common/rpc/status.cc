#include "common/rpc/status.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mellow::rpc {

grpc::Status ToGrpcStatus(const absl::Status& status) noexcept {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.raw_code());
  try {
    return grpc::Status(code, std::string(status.message()));
  } catch (const std::bad_alloc&) {
    return grpc::Status(code, "");  // the code alone needs no memory
  }
}

absl::Status FromGrpcStatus(const grpc::Status& status, absl::string_view peer) {
  if (status.ok()) return absl::OkStatus();
  auto code = static_cast<absl::StatusCode>(status.error_code());
  if (status.error_code() == grpc::StatusCode::UNKNOWN &&
      absl::StrContains(status.error_message(), "Stream removed"))
    code = absl::StatusCode::kUnavailable;
  // gRPC has no code of its own for it, on either side.
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
      absl::StrContains(status.error_message(), " message larger than max"))
    return absl::InvalidArgumentError(
        absl::StrCat(peer, ": ", status.error_message(),
                     ": it takes a smaller request, or a larger --max-message-mib of the server"));
  if (status.error_code() == grpc::StatusCode::CANCELLED)
    return absl::UnavailableError(
        absl::StrCat(peer, ": the call was cancelled: ", status.error_message()));
  return absl::Status(code, absl::StrCat(peer, ": ", status.error_message()));
}

bool IsRetryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace mellow::rpc
