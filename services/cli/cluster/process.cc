#include "services/cli/cluster/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

// glibc 2.36 forgot to say in this header that it is C.
extern "C" {
#include <sys/pidfd.h>
}

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/steady_time.h"

namespace mellow::cli {
namespace {

constexpr absl::string_view kMark = "MELLOW_CLUSTER=";
// Far more than exec() needs.
constexpr absl::Duration kLongestExec = absl::Seconds(1);

std::string MarkOf(const std::string& cluster) { return absl::StrCat(kMark, cluster); }

// True for a process that was started with no environment at all, by the addresses of proc(5)'s
// /proc/PID/stat: exec() gives the environment a beginning and an end that are equal, then moves
// the end, and then says where the code begins.
bool HasEmptyEnvironment(const std::string& folder) {
  const std::string stat = ReadFile(folder + "/stat").value_or("");
  // The second field is the name, in parentheses, and may hold anything.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return false;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kThird = 3;  // fields[0]
  constexpr size_t kStartCode = 26 - kThird;
  constexpr size_t kEnvStart = 50 - kThird;
  constexpr size_t kEnvEnd = 51 - kThird;
  return fields.size() > kEnvEnd && fields[kStartCode] != "0" &&
         fields[kEnvStart] == fields[kEnvEnd];
}

// The environment that a process was started with; empty: none, or not to be read.
//
// exec() gives a process its new memory before it fills in the environment, which reads as empty
// for a moment, also after posix_spawn() has returned. That is waited out. A zombie or a thread of
// the kernel has no program.
std::string EnvironmentOf(pid_t pid) {
  const std::string folder = absl::StrCat("/proc/", pid);
  const SteadyTime deadline = SteadyTime::Now() + kLongestExec;
  while (true) {
    std::string environment = ReadFile(folder + "/environ").value_or("");
    char program;
    if (!environment.empty() || HasEmptyEnvironment(folder) ||
        readlink((folder + "/exe").c_str(), &program, 1) < 0 || SteadyTime::Now() > deadline)
      return environment;
    poll(nullptr, 0, 1);
  }
}

// True when the process ended (or is gone) before the deadline.
bool WaitGone(int pidfd, SteadyTime deadline) {
  while (true) {
    pollfd waiting = {.fd = pidfd, .events = POLLIN};
    const int64_t left = absl::ToInt64Milliseconds(deadline - SteadyTime::Now());
    const int n = poll(&waiting, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1000)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return true;
    if (left <= 0) return false;
  }
}

}  // namespace

absl::StatusOr<pid_t> Spawn(const SpawnOptions& options) {
  std::vector<std::string> environment = {MarkOf(options.cluster)};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (absl::string_view(*entry).substr(0, kMark.size()) != kMark)
      environment.emplace_back(*entry);
  }
  // The OpenMP threads of libtorch spin for milliseconds after every operation unless told
  // otherwise, and take the cores from the other services of this machine.
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr)
    environment.emplace_back("GOMP_SPINCOUNT=20000");
  const auto pointers = [](const std::vector<std::string>& strings) {
    std::vector<char*> out;
    for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
    out.push_back(nullptr);
    return out;
  };
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  auto cleanup = absl::MakeCleanup([&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  });
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // dup2 onto itself clears close-on-exec for the child alone.
  for (const int fd : options.keep) posix_spawn_file_actions_adddup2(&actions, fd, fd);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.own_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&attributes, flags);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, options.arguments[0].c_str(), &actions, &attributes,
                                pointers(options.arguments).data(), pointers(environment).data());
  if (error != 0) return ErrnoStatus(error, absl::StrCat("starting ", options.arguments[0]));
  return pid;
}

bool IsMarked(pid_t pid, const std::string& cluster) {
  const std::string environment = EnvironmentOf(pid);
  const std::string mark = MarkOf(cluster);
  for (const absl::string_view entry : absl::StrSplit(environment, '\0')) {
    if (entry == mark) return true;
  }
  return false;
}

std::vector<pid_t> FindMarked(const std::string& cluster) {
  std::vector<pid_t> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  if (proc == nullptr) return found;
  while (const dirent* entry = readdir(proc.get())) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid) && pid != getpid() && IsMarked(pid, cluster))
      found.push_back(pid);
  }
  return found;
}

void StopMarked(const std::vector<pid_t>& pids, const std::string& cluster, absl::Duration grace) {
  std::vector<int> handles;
  for (const pid_t pid : pids) {
    const int handle = pidfd_open(pid, 0);
    if (handle < 0) continue;  // gone
    // The handle names this very process from here on, so that the check and the signal are about
    // the same one.
    if (!IsMarked(pid, cluster)) {
      close(handle);
      continue;
    }
    pidfd_send_signal(handle, SIGTERM, nullptr, 0);
    handles.push_back(handle);
  }
  const SteadyTime deadline = SteadyTime::Now() + grace;
  for (const int handle : handles) {
    if (!WaitGone(handle, deadline)) {
      pidfd_send_signal(handle, SIGKILL, nullptr, 0);
      WaitGone(handle, SteadyTime::InfiniteFuture());
    }
    close(handle);
  }
}

}  // namespace mellow::cli
