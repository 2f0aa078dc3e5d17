#include "common/rpc/tls_credentials.h"

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/rpc/certificate_files.h"
#include "common/rpc/status.h"
#include "common/tls/verify.h"

namespace mellow::rpc {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::TlsCustomVerificationCheckRequest;

std::string ToString(grpc::string_ref text) { return std::string(text.data(), text.size()); }

// A verifier that answers at once.
class SyncVerifier : public ExternalCertificateVerifier {
 public:
  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) final {
    *status = ToGrpcStatus(Check(request));
    return true;
  }
  void Cancel(TlsCustomVerificationCheckRequest*) final {}

 private:
  virtual absl::Status Check(TlsCustomVerificationCheckRequest* request) = 0;
};

// Does all of the verification of clients, because what OpenSSL refuses inside gRPC's handshake
// cannot be told apart or counted from outside.
class ClientVerifier : public SyncVerifier {
 public:
  ClientVerifier(std::shared_ptr<tls::FollowedCertificates> certificates, bool required,
                 CountRefusal count, std::function<void()> handshake_failed)
      : certificates_(std::move(certificates)),
        required_(required),
        count_(std::move(count)),
        handshake_failed_(std::move(handshake_failed)) {}

 private:
  absl::Status Check(TlsCustomVerificationCheckRequest* request) override {
    const std::string leaf = ToString(request->peer_cert());
    if (leaf.empty()) {
      return required_ ? Refuse("no_certificate", "a client certificate is needed")
                       : absl::OkStatus();
    }
    const tls::Verdict verdict = tls::VerifyClient(leaf, ToString(request->peer_cert_full_chain()),
                                                   certificates_->Current()->ca);
    return verdict.refusal.empty() ? absl::OkStatus() : Refuse(verdict.refusal, verdict.detail);
  }

  absl::Status Refuse(const std::string& reason, const std::string& detail) const {
    count_(reason);
    handshake_failed_();
    return absl::UnauthenticatedError(absl::StrCat("client certificate: ", detail));
  }

  const std::shared_ptr<tls::FollowedCertificates> certificates_;
  const bool required_;
  const CountRefusal count_;
  const std::function<void()> handshake_failed_;
};

// Verifies the role of a server, after gRPC has verified its chain.
class ServerRoleVerifier : public SyncVerifier {
 public:
  // `keep` lives as long as the credentials, for MakeProvider.
  ServerRoleVerifier(std::set<std::string> roles, std::shared_ptr<tls::FollowedCertificates> keep)
      : roles_(std::move(roles)), keep_(std::move(keep)) {}

 private:
  absl::Status Check(TlsCustomVerificationCheckRequest* request) override {
    std::vector<std::string> uris;
    for (const grpc::string_ref& uri : request->uri_names()) uris.push_back(ToString(uri));
    const std::optional<Caller> server = CallerFromUris(uris);
    if (server.has_value() && roles_.count(server->role) != 0) return absl::OkStatus();
    return absl::UnauthenticatedError(
        absl::StrCat("the server's certificate has no URI spiffe://mellow/ROLE/NAME with role ",
                     absl::StrJoin(roles_, " or ")));
  }

  const std::set<std::string> roles_;
  const std::shared_ptr<tls::FollowedCertificates> keep_;
};

// Refuses calls before their handlers. Runs in gRPC's own thread: it does not block.
class Authorizer : public grpc::AuthMetadataProcessor {
 public:
  Authorizer(std::shared_ptr<const TokenTable> tokens, AccessTable access, CountRefusal count)
      : tokens_(std::move(tokens)), access_(std::move(access)), count_(std::move(count)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto path = metadata.find(":path");
    const std::string method = path == metadata.end() ? "" : ToString(path->second);
    if (IsOpenMethod(method)) return grpc::Status::OK;
    const absl::StatusOr<Caller> caller =
        IdentifyCaller(PeerUris(*context), Authorization(metadata), tokens_.get());
    if (!caller.ok()) return Refuse("unauthenticated", caller.status());
    if (const absl::Status allowed = CheckAccess(access_, *caller, method); !allowed.ok())
      return Refuse("permission_denied", allowed);
    return grpc::Status::OK;
  }

 private:
  grpc::Status Refuse(const std::string& reason, const absl::Status& status) const {
    count_(reason);
    return ToGrpcStatus(status);
  }

  const std::shared_ptr<const TokenTable> tokens_;
  const AccessTable access_;
  const CountRefusal count_;
};

// Sends the token of a file.
class TokenPlugin : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenPlugin(std::shared_ptr<const TokenFile> token) : token_(std::move(token)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<std::string, std::string>* metadata) override {
    metadata->emplace("authorization", absl::StrCat("Bearer ", token_->Token()));
    return grpc::Status::OK;
  }

 private:
  const std::shared_ptr<const TokenFile> token_;
};

}  // namespace

std::vector<std::string> PeerUris(const grpc::AuthContext& context) {
  std::vector<std::string> uris;
  for (const grpc::string_ref& uri : context.FindPropertyValues("peer_uri"))
    uris.push_back(ToString(uri));
  return uris;
}

std::string Authorization(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  const auto found = metadata.find("authorization");
  return found == metadata.end() ? "" : ToString(found->second);
}

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(
    const ServerSecurity& security, CountRefusal count, std::function<void()> handshake_failed) {
  grpc::experimental::TlsServerCredentialsOptions options(
      MakeProvider(security.certificates.get()));
  options.watch_identity_key_cert_pairs();
  // Asked for, and then verified by ClientVerifier alone, which is also what keeps the certificates
  // alive for the provider.
  options.set_cert_request_type(security.client_auth == tls::ClientAuth::kNone
                                    ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<ClientVerifier>(
      security.certificates, security.client_auth == tls::ClientAuth::kRequire, count,
      std::move(handshake_failed)));
  auto credentials = grpc::experimental::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(
      std::make_shared<Authorizer>(security.tokens, security.access, std::move(count)));
  return credentials;
}

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(
    std::shared_ptr<tls::FollowedCertificates> certificates, std::shared_ptr<const TokenFile> token,
    std::set<std::string> server_roles) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  if (!certificates->Current()->cert.empty()) options.watch_identity_key_cert_pairs();
  options.watch_root_certs();
  options.set_certificate_provider(MakeProvider(certificates.get()));
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<ServerRoleVerifier>(
      std::move(server_roles), std::move(certificates)));
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);
  auto credentials = grpc::experimental::TlsCredentials(options);
  if (token == nullptr) return credentials;
  return grpc::CompositeChannelCredentials(
      credentials,
      grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenPlugin>(std::move(token))));
}

}  // namespace mellow::rpc
