#ifndef MELLOW_COMMON_RPC_GRPC_LOG_H_
#define MELLOW_COMMON_RPC_GRPC_LOG_H_

namespace mellow::rpc {

// From now on what gRPC logs as an error goes to our log, a few lines per second at most: peers can
// cause them at will (a handshake that fails is one). Thread-safe; the first call is what counts.
void LogErrorsOfGrpc();

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_GRPC_LOG_H_
