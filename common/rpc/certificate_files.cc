#include "common/rpc/certificate_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/obs/log.h"

namespace mellow::rpc {
namespace {

constexpr unsigned kRefreshSeconds = 1;

// A file without a name in any folder.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("mellow-certificates", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // Whoever opens the path reads this file as it is at that moment.
  [[nodiscard]] std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

  // Whole or not at all: another file takes the place of this one under its number.
  [[nodiscard]] absl::Status Replace(absl::string_view text) {
    MemoryFile next;
    if (fd_ < 0 || next.fd_ < 0) return ErrnoStatus(errno, "memfd_create");
    MELLOW_RETURN_IF_ERROR(WriteSynced(next.fd_, next.path(), text));
    if (dup3(next.fd_, fd_, O_CLOEXEC) < 0) return ErrnoStatus(errno, "dup3");
    return absl::OkStatus();
  }

 private:
  const int fd_;
};

struct MemoryFiles {
  // Key and chain are in one file, so that they are replaced together.
  MemoryFile identity;
  MemoryFile ca;
};

absl::Status Replace(MemoryFiles* files, const tls::Certificates& now) {
  if (!now.cert.empty())
    MELLOW_RETURN_IF_ERROR(files->identity.Replace(absl::StrCat(now.key, "\n", now.cert)));
  return now.ca.empty() ? absl::OkStatus() : files->ca.Replace(now.ca);
}

}  // namespace

std::shared_ptr<grpc::experimental::CertificateProviderInterface> MakeProvider(
    tls::FollowedCertificates* certificates) {
  const auto files = std::make_shared<MemoryFiles>();
  certificates->Follow([files](const tls::Certificates& now) {
    if (const absl::Status status = Replace(files.get(), now); !status.ok()) {
      obs::Log(obs::Severity::kError, "gRPC keeps its old certificates",
               {{"error", status.ToString()}});
    }
  });
  const std::shared_ptr<const tls::Certificates> now = certificates->Current();
  const std::string identity = now->cert.empty() ? "" : files->identity.path();
  const std::string ca = now->ca.empty() ? "" : files->ca.path();
  return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(identity, identity,
                                                                              ca, kRefreshSeconds);
}

}  // namespace mellow::rpc
