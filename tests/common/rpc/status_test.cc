#include "common/rpc/status.h"

#include <gtest/gtest.h>

namespace mellow::rpc {
namespace {

TEST(RpcStatusTest, CodesAndMessagesGoThereAndBack) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "what happened");
    const grpc::Status wire = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(wire.error_code()), code);
    if (absl::IsCancelled(status)) continue;
    EXPECT_EQ(FromGrpcStatus(wire, "policy-0 at h:1"),
              absl::Status(status.code(), "policy-0 at h:1: what happened"));
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK, "x").ok());
}

TEST(RpcStatusTest, ACancelledCallMayBeRetried) {
  const absl::Status status = FromGrpcStatus(grpc::Status::CANCELLED, "policy-0 at h:1");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(), "policy-0 at h:1: the call was cancelled: ");
}

TEST(RpcStatusTest, ATooLargeMessageIsNotWorthAnotherTry) {
  const absl::Status status =
      FromGrpcStatus({grpc::StatusCode::RESOURCE_EXHAUSTED,
                      "Received message larger than max (73400347 vs. 2621440)"},
                     "policy-0 at h:1");
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_FALSE(IsRetryable(status));
  EXPECT_TRUE(IsRetryable(FromGrpcStatus({grpc::StatusCode::RESOURCE_EXHAUSTED, "full"}, "x")));
}

TEST(RpcStatusTest, ABrokenStreamMayBeRetried) {
  const absl::Status status = FromGrpcStatus({grpc::StatusCode::UNKNOWN, "Stream removed"}, "x");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_TRUE(IsRetryable(status));
  EXPECT_FALSE(IsRetryable(absl::InvalidArgumentError("")));
}

}  // namespace
}  // namespace mellow::rpc
