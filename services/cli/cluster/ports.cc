#include "services/cli/cluster/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"

namespace mellow::cli {
namespace {

constexpr int kLowestPort = 10240;
constexpr int kLinuxDefaultEphemeral = 32768;
constexpr int kFewest = 64;

int FirstEphemeralPort() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/sys/net/ipv4/ip_local_port_range");
  int first = 0;
  if (!text.ok()) return kLinuxDefaultEphemeral;
  const std::vector<std::string> numbers =
      absl::StrSplit(*text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  return !numbers.empty() && absl::SimpleAtoi(numbers[0], &first) ? first : kLinuxDefaultEphemeral;
}

}  // namespace

bool PortIsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const auto closer = absl::MakeCleanup([fd] { close(fd); });
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
         listen(fd, 1) == 0;
}

int PortOf(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return 0;
  const absl::string_view digits = address.substr(colon + 1, address.substr(colon + 1).find('/'));
  int port = 0;
  return absl::SimpleAtoi(digits, &port) ? port : 0;
}

absl::StatusOr<int> PickPort(const std::set<int>& taken) {
  // A machine whose kernel gives away nearly all ports has no safe ones left: take any then.
  int end = FirstEphemeralPort();
  if (end < kLowestPort + kFewest) end = 65536;
  const int count = end - kLowestPort;
  // Two clusters that start at the same time should not try the same ports in the same order.
  std::random_device device;
  const int start = static_cast<int>(device() % static_cast<unsigned>(count));
  for (int i = 0; i < count; ++i) {
    const int port = kLowestPort + (start + i) % count;
    if (taken.count(port) == 0 && PortIsFree(port)) return port;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no free TCP port between ", kLowestPort, " and ", end - 1));
}

}  // namespace mellow::cli
