// mellow up, mellow down, and the hidden `mellow supervise` that `up` leaves behind.

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/plural.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/process.h"
#include "services/cli/cluster/supervisor.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/printable.h"
#include "services/wire/models.h"

namespace mellow::cli {
namespace {

constexpr absl::Duration kStopGrace = absl::Seconds(20);
constexpr int kLogTailLines = 12;

struct SuperviseOptions {
  ClusterOptions cluster;
  int lock_fd = -1;
  int report_fd = -1;
};

// A lock that one process at a time holds, for as long as it lives: the supervisor of the folder.
// AlreadyExists: held.
absl::StatusOr<int> LockFolder(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/supervisor.lock");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, path);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  close(fd);
  if (error != EWOULDBLOCK) return ErrnoStatus(error, path);
  const absl::StatusOr<ClusterFile> cluster = ReadClusterFile(folder);
  return absl::AlreadyExistsError(absl::StrCat(
      "a cluster runs in ", folder,
      cluster.ok() ? absl::StrCat(" (supervisor ", cluster->supervisor_pid, ")") : "",
      "; `mellow status --dir ", folder, "` shows it, `mellow down --dir ", folder, "` stops it"));
}

// Bytes of each log of the folder, by its path.
std::map<std::string, size_t> LogSizes(const std::string& folder) {
  std::map<std::string, size_t> sizes;
  std::error_code ignored;
  for (const auto& log : std::filesystem::directory_iterator(folder + "/logs", ignored))
    sizes[log.path().string()] = log.file_size(ignored);
  return sizes;
}

// The last lines behind the first `begin` bytes.
std::string LogTail(const std::string& path, size_t begin) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok() || text->size() < begin) return "";
  std::vector<absl::string_view> lines =
      absl::StrSplit(absl::string_view(*text).substr(begin), '\n', absl::SkipEmpty());
  if (lines.size() > kLogTailLines) lines.erase(lines.begin(), lines.end() - kLogTailLines);
  return absl::StrJoin(lines, "\n");
}

// Follows the supervisor's reports until the cluster is ready (OK) or did not start.
class StartProgress {
 public:
  StartProgress(const ClusterOptions& options, size_t services)
      : options_(options),
        services_(services),
        live_(isatty(STDOUT_FILENO) != 0),
        begin_(SteadyTime::Now()) {}

  absl::Status Follow(int fd) {
    Show("");
    std::string pending;
    char buffer[512];
    ssize_t n = 0;
    while ((n = read(fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR)) {
      if (n < 0) continue;
      pending.append(buffer, static_cast<size_t>(n));
      for (size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
        const std::string line = pending.substr(0, end);
        pending.erase(0, end + 1);
        if (line == "ready") {
          if (live_) std::printf("\r\033[K");
          std::printf("[up] %zu services serve (%.1f s); folder %s\n", services_, Seconds(),
                      options_.folder.c_str());
          return absl::OkStatus();
        }
        if (absl::StartsWith(line, "failed ")) failure_ = line.substr(7);
        if (absl::StartsWith(line, "serving ")) {
          ++serving_;
          Show(line.substr(8));
        }
      }
    }
    if (live_) std::printf("\n");
    return absl::UnavailableError(
        failure_.empty() ? "the supervisor ended while the services were starting" : failure_);
  }

 private:
  double Seconds() const { return absl::ToDoubleSeconds(SteadyTime::Now() - begin_); }
  void Show(const std::string& last) {
    if (live_) {
      std::printf("\r\033[K[up] %zu of %zu services serve (%.1f s)%s%s", serving_, services_,
                  Seconds(), last.empty() ? "" : ": ", last.c_str());
    } else if (!last.empty()) {
      std::printf("[up] %zu of %zu services serve (%.1f s): %s\n", serving_, services_, Seconds(),
                  last.c_str());
    }
    std::fflush(stdout);
  }

  const ClusterOptions& options_;
  const size_t services_;
  const bool live_;
  const SteadyTime begin_;
  size_t serving_ = 0;
  std::string failure_;
};

constexpr absl::string_view kInterrupted = "interrupted";

// Shows the end of the log of the service that a failure message names first, as far as it is of
// this start. `before`: LogSizes of before it.
void ShowLogTail(const std::string& folder, const std::string& failure,
                 const std::map<std::string, size_t>& before) {
  if (failure == kInterrupted) return;
  std::string path = absl::StrCat(folder, "/logs/", failure.substr(0, failure.find(' ')), ".log");
  if (access(path.c_str(), R_OK) != 0) path = absl::StrCat(folder, "/logs/supervisor.log");
  const auto size = before.find(path);
  const std::string tail = LogTail(path, size == before.end() ? 0 : size->second);
  if (!tail.empty())
    std::fprintf(stderr, "---- end of %s\n%s\n----\n", path.c_str(), Printable(tail).c_str());
}

absl::StatusOr<int> Up(const Environment& environment, ClusterOptions options) {
  MELLOW_RETURN_IF_ERROR(ResolveClusterOptions(environment, &options));
  MELLOW_ASSIGN_OR_RETURN(const int lock, LockFolder(options.folder));
  const std::vector<pid_t> leftovers = FindMarked(options.folder);
  if (!leftovers.empty()) {
    std::printf("[up] stopping %s that a supervisor left behind\n",
                Plural(static_cast<int64_t>(leftovers.size()), "process", "processes").c_str());
    StopMarked(leftovers, options.folder, kStopGrace);
  }
  RemoveClusterFile(options.folder);

  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  SpawnOptions spawn = {.arguments = {environment.executable, "supervise"},
                        .cluster = options.folder,
                        .log = absl::StrCat(options.folder, "/logs/supervisor.log"),
                        .own_session = true,
                        .keep = {lock, pipe_fds[1]}};
  const std::vector<std::string> flags = options.ToFlags();
  spawn.arguments.insert(spawn.arguments.end(), flags.begin(), flags.end());
  spawn.arguments.insert(spawn.arguments.end(), {"--lock-fd", absl::StrCat(lock), "--report-fd",
                                                 absl::StrCat(pipe_fds[1])});

  // From here on Ctrl-C must stop what was started: the supervisor is in a session of its own and
  // does not hear it.
  static pid_t supervisor = 0;
  const std::map<std::string, size_t> logs = LogSizes(options.folder);
  MELLOW_ASSIGN_OR_RETURN(supervisor, Spawn(spawn));
  close(pipe_fds[1]);
  close(lock);
  struct sigaction forward = {};
  forward.sa_handler = [](int) { kill(supervisor, SIGTERM); };
  for (const int s : {SIGINT, SIGTERM}) sigaction(s, &forward, nullptr);

  StartProgress progress(options, PlanServices(environment, options).size());
  const absl::Status status = progress.Follow(pipe_fds[0]);
  if (status.ok()) return 0;
  while (waitpid(supervisor, nullptr, 0) < 0 && errno == EINTR) {
  }
  ShowLogTail(options.folder, std::string(status.message()), logs);
  return status;
}

absl::StatusOr<int> Supervise(const Environment& environment, const SuperviseOptions& options) {
  // Descriptors that `up` had inherited are nobody's business here: a caller may wait for the end
  // of a pipe.
  for (int fd = 3; fd < 1024; ++fd) {
    if (fd != options.lock_fd && fd != options.report_fd) close(fd);
  }
  for (const int fd : {options.lock_fd, options.report_fd}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, s);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  MELLOW_RETURN_IF_ERROR(obs::InitLog("supervisor", options.cluster.log_level));
  Supervisor supervisor(options.cluster, PlanServices(environment, options.cluster),
                        options.report_fd);
  return supervisor.Run();
}

absl::StatusOr<int> Down(const std::string& dir) {
  const std::string folder = CanonicalFolder(dir);
  const std::vector<pid_t> all = FindMarked(folder);
  if (all.empty()) {
    RemoveClusterFile(folder);
    std::printf("[down] nothing runs in %s\n", folder.c_str());
    return 0;
  }
  const SteadyTime begin = SteadyTime::Now();
  std::printf("[down] stopping %s\n",
              Plural(static_cast<int64_t>(all.size()), "process", "processes").c_str());
  std::fflush(stdout);
  // The supervisor first, or it would restart the others; it stops them itself and then ends.
  const absl::StatusOr<ClusterFile> cluster = ReadClusterFile(folder);
  if (cluster.ok() && cluster->supervisor_pid > 0)
    StopMarked({cluster->supervisor_pid}, folder, absl::Minutes(2));
  StopMarked(FindMarked(folder), folder, kStopGrace);
  RemoveClusterFile(folder);
  std::printf("[down] stopped (%.1f s); ledger and checkpoints stay in %s\n",
              absl::ToDoubleSeconds(SteadyTime::Now() - begin), folder.c_str());
  return 0;
}

void AddClusterFlags(CLI::App* sub, ClusterOptions* o) {
  sub->add_option("--dir", o->folder,
                  "Folder of the cluster: cluster.json, logs, ledger, checkpoints")
      ->capture_default_str();
  sub->add_option("--policies", o->policies, "Policy servers (they generate)")
      ->capture_default_str();
  sub->add_option("--rewards", o->rewards, "Reward servers (they score)")->capture_default_str();
  sub->add_option("--learners", o->learners,
                  "Processes that train: the learner, and workers that compute gradients for it")
      ->capture_default_str();
  sub->add_option("--policy-model", o->policy_model,
                  "Hugging Face T5 folder, or ORG/NAME[@REVISION] of the Hub's cache "
                  "[the mini-summarizer that ships]")
      ->transform(wire::ModelFolder());
  sub->add_option("--reward-model", o->reward_model,
                  "Hugging Face RoBERTa classifier, likewise [the mini-toxicity that ships]")
      ->transform(wire::ModelFolder());
  sub->add_option(
         "--judge-model", o->judge_model,
         "Another such classifier, which judges a share of the rollouts of runs whose guard "
         "asks for it (guard.judge, which names its label), and gives no rewards [none]")
      ->transform(wire::ModelFolder());
  sub->add_option("--threads", o->threads,
                  "Cores to share out: policies get an equal part each, rewards half, the learner "
                  "and its workers an equal part each of all; 0: all of the machine")
      ->capture_default_str();
  sub->add_option("--device", o->device, "Where models run; auto: CUDA where there is one")
      ->type_name("auto|cpu|cuda|cuda:N")
      ->capture_default_str();
  sub->add_option("--dtype", o->dtype, "Weights of the policy servers")
      ->type_name("float32|bfloat16|float16|int8")
      ->transform(wire::WeightTypeFlag())
      ->capture_default_str();
  sub->add_option(
      "--toxic-label", o->toxic_label,
      "Label whose probability is the toxicity; needed where the names of the labels do not "
      "say it [hate of mini-toxicity]");
  sub->add_option("--keep-adapters", o->keep_adapters,
                  "Newest adapters kept of a PPO run, twice: at the orchestrator, and at the "
                  "learner; 0: that of every step")
      ->capture_default_str();
  sub->add_option("--log-level", o->log_level, "Least severity that is logged")
      ->type_name("debug|info|warning|error")
      ->capture_default_str();
  sub->add_option("--drain-seconds", o->drain_seconds,
                  "How long calls in progress may take when a service stops")
      ->capture_default_str();
  sub->add_option("--timeout", o->timeout_seconds,
                  "Give up when not all serve after that many seconds")
      ->capture_default_str();
}

}  // namespace

void AddClusterCommands(CLI::App* app, const Environment& environment, Action* chosen) {
  auto up_options = std::make_shared<ClusterOptions>();
  CLI::App* up = app->add_subcommand(
      "up", "Start a cluster on this machine and return when all services serve");
  AddClusterFlags(up, up_options.get());
  up->footer(
      "Examples:\n  mellow up\n  mellow up --dir /tmp/c --policies 2\n"
      "  mellow up --policy-model ~/models/flan-t5-base --reward-model ~/models/roberta-hate");
  up->callback([=] { *chosen = [=] { return Up(environment, *up_options); }; });

  auto supervise_options = std::make_shared<SuperviseOptions>();
  CLI::App* supervise =
      app->add_subcommand("supervise", "What `up` leaves in the background")->group("");
  AddClusterFlags(supervise, &supervise_options->cluster);
  supervise->add_option("--lock-fd", supervise_options->lock_fd)->required();
  supervise->add_option("--report-fd", supervise_options->report_fd)->required();
  supervise->callback(
      [=] { *chosen = [=] { return Supervise(environment, *supervise_options); }; });

  auto dir = std::make_shared<std::string>(".mellow");
  CLI::App* down =
      app->add_subcommand("down", "Stop everything that `up` started in DIR, and wait for it");
  down->add_option("--dir", *dir, "Folder of the cluster")->capture_default_str();
  down->footer("Examples:\n  mellow down\n  mellow down --dir /tmp/c");
  down->callback([=] { *chosen = [=] { return Down(*dir); }; });
}

}  // namespace mellow::cli
