#include "common/tls/certificates.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/tls/openssl.h"

namespace mellow::tls {
namespace {

absl::Time FromAsn1(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::Status CheckIdentity(const Files& files, absl::Time now, Certificates* read) {
  const std::vector<X509Ptr> chain = ParseCertificates(read->cert);
  if (chain.empty())
    return absl::InvalidArgumentError(absl::StrCat(files.cert, ": no whole PEM certificate"));
  const KeyPtr key = ParseKey(read->key);
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": no whole PEM private key (keys with a password are not read)"));
  }
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": not the key of the certificate in ", files.cert));
  }
  read->expires = FromAsn1(X509_get0_notAfter(chain[0].get()));
  if (now >= read->expires) {
    return absl::FailedPreconditionError(
        absl::StrCat(files.cert, ": the certificate expired at ",
                     absl::FormatTime(read->expires, absl::UTCTimeZone())));
  }
  if (const absl::Time begin = FromAsn1(X509_get0_notBefore(chain[0].get())); now < begin) {
    return absl::FailedPreconditionError(
        absl::StrCat(files.cert, ": the certificate is not valid before ",
                     absl::FormatTime(begin, absl::UTCTimeZone())));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClientAuth> ParseClientAuth(const std::string& text) {
  if (text == "require") return ClientAuth::kRequire;
  if (text == "optional") return ClientAuth::kOptional;
  if (text == "none") return ClientAuth::kNone;
  return absl::InvalidArgumentError(absl::StrCat("'", text, "': require, optional or none"));
}

absl::StatusOr<Certificates> ReadCertificates(const Files& files, absl::Time now) {
  Certificates read;
  if (!files.cert.empty()) {
    MELLOW_ASSIGN_OR_RETURN(read.cert, ReadFile(files.cert));
    MELLOW_ASSIGN_OR_RETURN(read.key, ReadFile(files.key));
    MELLOW_RETURN_IF_ERROR(CheckIdentity(files, now, &read));
  }
  if (!files.ca.empty()) {
    MELLOW_ASSIGN_OR_RETURN(read.ca, ReadFile(files.ca));
    if (ParseCertificates(read.ca).empty())
      return absl::InvalidArgumentError(absl::StrCat(files.ca, ": no whole PEM certificate"));
  }
  return read;
}

absl::StatusOr<std::shared_ptr<FollowedCertificates>> FollowCertificates(const Files& files,
                                                                         absl::Duration period) {
  std::vector<std::string> paths;
  for (const std::string& path : {files.cert, files.key, files.ca}) {
    if (!path.empty()) paths.push_back(path);
  }
  const auto report = [files](const absl::Status& status) {
    if (status.ok()) {
      obs::Log(obs::Severity::kInfo, "certificates read again",
               {{"certificate", files.cert}, {"ca", files.ca}});
    } else {
      obs::Log(obs::Severity::kWarning, "the new certificates are not usable, the old ones stay",
               {{"error", status.ToString()}});
    }
  };
  return FollowedCertificates::Start(
      std::move(paths), period, [files] { return ReadCertificates(files, absl::Now()); }, report);
}

}  // namespace mellow::tls
