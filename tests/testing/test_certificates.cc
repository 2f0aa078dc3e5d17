#include "tests/testing/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

namespace mellow::testing {
namespace {

void AddExtension(X509* cert, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

tls::X509Ptr MakeCertificate(EVP_PKEY* key, const std::string& name, absl::Time begin,
                             absl::Time end) {
  static std::atomic<long> serial{1};
  tls::X509Ptr cert(X509_new());
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  ASN1_TIME_set(X509_getm_notBefore(cert.get()), absl::ToTimeT(begin));
  ASN1_TIME_set(X509_getm_notAfter(cert.get()), absl::ToTimeT(end));
  X509_set_pubkey(cert.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return cert;
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string ToPem(X509* cert) {
  const tls::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), cert);
  return Text(bio.get());
}

}  // namespace

TestAuthority::TestAuthority() : key_(EVP_EC_gen("P-256")) {
  cert_ = MakeCertificate(key_.get(), "test CA", absl::Now() - absl::Hours(2),
                          absl::Now() + absl::Hours(2));
  X509_set_issuer_name(cert_.get(), X509_get_subject_name(cert_.get()));
  AddExtension(cert_.get(), cert_.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(cert_.get(), cert_.get(), NID_subject_key_identifier, "hash");
  X509_sign(cert_.get(), key_.get(), EVP_sha256());
}

std::string TestAuthority::Pem() const { return ToPem(cert_.get()); }

IssuedCertificate TestAuthority::Issue(const CertificateRequest& request) const {
  const tls::KeyPtr key(EVP_EC_gen("P-256"));
  const tls::X509Ptr cert = MakeCertificate(key.get(), "leaf", request.begin, request.end);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert_.get()));
  AddExtension(cert.get(), cert_.get(), NID_authority_key_identifier, "keyid");
  AddExtension(cert.get(), cert_.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  AddExtension(cert.get(), cert_.get(), NID_subject_alt_name,
               "IP:127.0.0.1,DNS:localhost" + (request.uri.empty() ? "" : ",URI:" + request.uri));
  X509_sign(cert.get(), key_.get(), EVP_sha256());
  const tls::BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {ToPem(cert.get()), Text(bio.get())};
}

IssuedCertificate TestAuthority::Issue(const std::string& role, const std::string& name) const {
  return Issue({.uri = "spiffe://mellow/" + role + "/" + name});
}

}  // namespace mellow::testing
