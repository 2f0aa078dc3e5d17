#ifndef MELLOW_COMMON_TLS_OPENSSL_H_
#define MELLOW_COMMON_TLS_OPENSSL_H_

// OpenSSL's objects with owners, and PEM in and out. Only common/tls and common/http know OpenSSL.

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::tls {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;

// All certificates of a PEM text, other blocks left out; empty when one of them is damaged.
[[nodiscard]] std::vector<X509Ptr> ParseCertificates(absl::string_view pem);
// Null: no private key, or one with a password.
[[nodiscard]] KeyPtr ParseKey(absl::string_view pem);
// Null: no certificate in `ca_pem`.
[[nodiscard]] StorePtr MakeStore(absl::string_view ca_pem);

}  // namespace mellow::tls

#endif  // MELLOW_COMMON_TLS_OPENSSL_H_
