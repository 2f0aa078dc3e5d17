#ifndef MELLOW_COMMON_RPC_SHUTDOWN_SIGNALS_H_
#define MELLOW_COMMON_RPC_SHUTDOWN_SIGNALS_H_

// SIGTERM and SIGINT are blocked before the first thread starts and then waited for, so that no
// code runs in a signal handler.

namespace mellow::rpc {

// First thing in main(): every thread inherits the mask. SIGPIPE is ignored.
void BlockShutdownSignals();

// Returns the signal that came.
int WaitForShutdownSignal();

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_SHUTDOWN_SIGNALS_H_
