#include "common/tls/server_context.h"

#include <openssl/err.h>

#include <cstring>
#include <utility>

namespace mellow::tls {
namespace {

// Where an SSL_CTX finds its ServerContext in the info callback, which has no argument of its own.
int Slot() {
  static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return slot;
}

int VerifyMode(ClientAuth client_auth) {
  switch (client_auth) {
    case ClientAuth::kRequire:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case ClientAuth::kOptional:
      return SSL_VERIFY_PEER;
    case ClientAuth::kNone:
      break;
  }
  return SSL_VERIFY_NONE;
}

std::shared_ptr<SSL_CTX> Make(const Certificates& certificates) {
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  const std::vector<X509Ptr> chain = ParseCertificates(certificates.cert);
  const KeyPtr key = ParseKey(certificates.key);
  if (context == nullptr || chain.empty() || key == nullptr) return nullptr;
  if (SSL_CTX_use_certificate(context.get(), chain[0].get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  for (size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(context.get(), chain[i].get());
  if (StorePtr store = MakeStore(certificates.ca); store != nullptr)
    SSL_CTX_set_cert_store(context.get(), store.release());
  for (const X509Ptr& authority : ParseCertificates(certificates.ca))
    SSL_CTX_add_client_CA(context.get(), authority.get());
  ERR_clear_error();
  return std::shared_ptr<SSL_CTX>(context.release(), SSL_CTX_free);
}

}  // namespace

ServerContext::ServerContext(std::shared_ptr<FollowedCertificates> certificates,
                             ClientAuth client_auth, std::function<void()> handshake_failed)
    : certificates_(std::move(certificates)),
      client_auth_(client_auth),
      handshake_failed_(std::move(handshake_failed)) {}

bool ServerContext::SetUp(SSL_CTX* context) {
  // Resumed sessions would keep what an old certificate had proved.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_verify(context, VerifyMode(client_auth_), nullptr);
  SSL_CTX_set_client_hello_cb(context, &ServerContext::OnClientHello, this);
  SSL_CTX_set_msg_callback(context, nullptr);  // a HandshakeWatch leaves it to OnInfo
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && Observe(context);
}

bool ServerContext::Observe(SSL_CTX* context) {
  SSL_CTX_set_info_callback(context, &ServerContext::OnInfo);
  return SSL_CTX_set_ex_data(context, Slot(), this) == 1;
}

std::shared_ptr<SSL_CTX> ServerContext::Current() {
  const std::shared_ptr<const Certificates> now = certificates_->Current();
  MutexLock lock(&mutex_);
  if (now != made_from_) {
    made_from_ = now;
    made_ = Make(*now);
    // A handshake takes this, too, from the context that its connection has by then.
    if (made_ != nullptr && !Observe(made_.get())) made_ = nullptr;
  }
  return made_;
}

int ServerContext::OnClientHello(SSL* ssl, int* alert, void* self) {
  const std::shared_ptr<SSL_CTX> current = static_cast<ServerContext*>(self)->Current();
  if (current == nullptr || SSL_set_SSL_CTX(ssl, current.get()) == nullptr) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

void ServerContext::OnInfo(const SSL* ssl, int where, int result) {
  // Also called when the handshake waits for the peer; only an end in error has this state.
  if ((where & SSL_CB_ACCEPT_EXIT) != SSL_CB_ACCEPT_EXIT || result > 0 ||
      std::strcmp(SSL_state_string(ssl), "SSLERR") != 0)
    return;
  const auto* self =
      static_cast<const ServerContext*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), Slot()));
  if (self != nullptr && self->handshake_failed_ != nullptr) self->handshake_failed_();
}

}  // namespace mellow::tls
