#ifndef MELLOW_COMMON_RPC_TLS_CREDENTIALS_H_
#define MELLOW_COMMON_RPC_TLS_CREDENTIALS_H_

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/rpc/access.h"
#include "common/rpc/refusal.h"
#include "common/rpc/token_table.h"
#include "common/tls/certificates.h"

namespace mellow::rpc {

struct ServerSecurity {
  std::shared_ptr<tls::FollowedCertificates> certificates;
  tls::ClientAuth client_auth = tls::ClientAuth::kRequire;
  std::shared_ptr<const TokenTable> tokens;  // null: tokens are not looked at
  AccessTable access;
};

// TLS 1.2 or newer with the current certificates. Connections without a certificate, or
// with one that is not trusted now, are closed after the handshake ("no_certificate" and
// tls::VerifyClient's words are counted); calls without an identity or the role for the method get
// UNAUTHENTICATED or PERMISSION_DENIED before their handler or any message ("unauthenticated",
// "permission_denied"). `handshake_failed` is called, from gRPC's threads, for each connection that
// is closed so.
[[nodiscard]] std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(
    const ServerSecurity& security, CountRefusal count, std::function<void()> handshake_failed);

// What a client shows and trusts. The server's certificate must be signed by the CA of
// `certificates` and have one of `server_roles`; its host name does not matter, because nodes are
// reached by addresses that they registered. `token` (may be null) is sent with every call.
[[nodiscard]] std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(
    std::shared_ptr<tls::FollowedCertificates> certificates, std::shared_ptr<const TokenFile> token,
    std::set<std::string> server_roles);

// What IdentifyCaller wants to know, of a connection and of a call.
[[nodiscard]] std::vector<std::string> PeerUris(const grpc::AuthContext& context);
[[nodiscard]] std::string Authorization(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_TLS_CREDENTIALS_H_
