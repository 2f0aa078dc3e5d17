#ifndef MELLOW_COMMON_RPC_DEADLINE_H_
#define MELLOW_COMMON_RPC_DEADLINE_H_

#include <grpc/support/time.h>
#include <grpcpp/server_context.h>

#include "common/base/steady_time.h"

namespace mellow::rpc {

// gRPC takes deadlines of its own steady clock too; those of the wall clock move when it is set.
inline gpr_timespec ToGrpc(SteadyTime time) {
  if (time == SteadyTime::InfiniteFuture()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  const absl::Duration left = time - SteadyTime::Now();
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(absl::ToInt64Nanoseconds(left), GPR_TIMESPAN));
}

// When the caller gives up.
inline SteadyTime DeadlineOf(const grpc::ServerContextBase& context) {
  const gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
  const gpr_timespec deadline = gpr_convert_clock_type(context.raw_deadline(), GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
    return SteadyTime::InfiniteFuture();
  const gpr_timespec left = gpr_time_sub(deadline, now);
  return SteadyTime::Now() + absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_DEADLINE_H_
