#ifndef MELLOW_COMMON_RPC_CERTIFICATE_FILES_H_
#define MELLOW_COMMON_RPC_CERTIFICATE_FILES_H_

#include <grpcpp/security/tls_certificate_provider.h>

#include <memory>

#include "common/tls/certificates.h"

namespace mellow::rpc {

// gRPC's provider that gives out what `certificates` has now. gRPC 1.51 has no provider of ours in
// memory whose content may change, and its file watcher takes whatever a file holds, also half a
// key, after which nobody can connect. So the checked sets go into files of memory (memfd), which
// live as long as `certificates`, and gRPC watches those. gRPC outlives the returned object by what
// it takes from it: `certificates` must live as long as the credentials.
[[nodiscard]] std::shared_ptr<grpc::experimental::CertificateProviderInterface> MakeProvider(
    tls::FollowedCertificates* certificates);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_CERTIFICATE_FILES_H_
