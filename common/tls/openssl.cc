#include "common/tls/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace mellow::tls {
namespace {

BioPtr Reader(absl::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL would ask on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

}  // namespace

std::vector<X509Ptr> ParseCertificates(absl::string_view pem) {
  const BioPtr reader = Reader(pem);
  std::vector<X509Ptr> found;
  while (X509* next = PEM_read_bio_X509(reader.get(), nullptr, NoPassword, nullptr))
    found.emplace_back(next);
  // The end of the text is an error too, and the only one that is none.
  const unsigned long error = ERR_peek_last_error();
  if (!found.empty() && ERR_GET_REASON(error) != PEM_R_NO_START_LINE) found.clear();
  ERR_clear_error();
  return found;
}

KeyPtr ParseKey(absl::string_view pem) {
  const BioPtr reader = Reader(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(reader.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

StorePtr MakeStore(absl::string_view ca_pem) {
  const std::vector<X509Ptr> authorities = ParseCertificates(ca_pem);
  if (authorities.empty()) return nullptr;
  StorePtr store(X509_STORE_new());
  for (const X509Ptr& authority : authorities) X509_STORE_add_cert(store.get(), authority.get());
  ERR_clear_error();
  return store;
}

}  // namespace mellow::tls
