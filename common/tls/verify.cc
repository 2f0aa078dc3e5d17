#include "common/tls/verify.h"

#include <openssl/err.h>

#include <vector>

#include "common/tls/openssl.h"

namespace mellow::tls {
namespace {

using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

// Does not own the certificates.
using StackPtr =
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;

const char* Word(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "certificate_expired";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "unknown_ca";
    default:
      return "bad_certificate";
  }
}

}  // namespace

Verdict VerifyClient(absl::string_view leaf_pem, absl::string_view chain_pem,
                     absl::string_view ca_pem) {
  const std::vector<X509Ptr> leaf = ParseCertificates(leaf_pem);
  const std::vector<X509Ptr> chain = ParseCertificates(chain_pem);
  const StorePtr store = MakeStore(ca_pem);
  const StackPtr others(sk_X509_new_null());
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (leaf.empty()) return {"bad_certificate", "the certificate cannot be read"};
  if (store == nullptr || others == nullptr || context == nullptr)
    return {"bad_certificate", "there is nothing to check it against"};
  for (const X509Ptr& other : chain) sk_X509_push(others.get(), other.get());
  int error = X509_V_ERR_UNSPECIFIED;
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf[0].get(), others.get()) == 1 &&
      X509_STORE_CTX_set_default(context.get(), "ssl_client") == 1) {
    if (X509_verify_cert(context.get()) == 1) return {};
    error = X509_STORE_CTX_get_error(context.get());
  }
  ERR_clear_error();
  // Never taken for trusted, whatever OpenSSL says of an error that it could not name.
  return {Word(error), X509_verify_cert_error_string(error)};
}

}  // namespace mellow::tls
