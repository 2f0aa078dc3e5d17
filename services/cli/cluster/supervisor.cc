#include "services/cli/cluster/supervisor.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "common/rpc/client.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/ports.h"
#include "services/cli/cluster/process.h"

namespace mellow::cli {
namespace {

using obs::Log;
using obs::Severity;

constexpr absl::Duration kQuickDeath = absl::Seconds(10);
constexpr absl::Duration kLongestRestartPause = absl::Seconds(30);
constexpr absl::Duration kPollPause = absl::Milliseconds(100);
constexpr absl::Duration kRegistrationLimit = absl::Seconds(30);
constexpr absl::Duration kKillAfterDrain = absl::Seconds(10);

std::string HowItEnded(int wait_status) {
  if (WIFSIGNALED(wait_status))
    return absl::StrCat("killed by signal ", WTERMSIG(wait_status), " (",
                        strsignal(WTERMSIG(wait_status)), ")");
  return absl::StrCat("exited with code ", WEXITSTATUS(wait_status));
}

}  // namespace

Supervisor::Supervisor(const ClusterOptions& options, std::vector<ServicePlan> plans, int report)
    : options_(options), report_(report) {
  for (ServicePlan& plan : plans) {
    Service service;
    service.entry.name = plan.name;
    service.entry.role = plan.role;
    service.entry.log = absl::StrCat(options_.folder, "/logs/", plan.name, ".log");
    service.plan = std::move(plan);
    services_.push_back(std::move(service));
  }
}

int Supervisor::Run() {
  absl::Status status = StartAll();
  if (status.ok()) status = WaitUntilServing();
  if (status.ok() && !stop_requested_) {
    WaitUntilRegistered();
    Report("ready");
    if (report_ >= 0) close(report_);
    report_ = -1;
    WatchForever();
  }
  StopAll();
  if (!status.ok()) Report(absl::StrCat("failed ", status.message()));
  return status.ok() ? 0 : 1;
}

absl::Status Supervisor::StartAll() {
  for (Service& service : services_) MELLOW_RETURN_IF_ERROR(AssignAddresses(&service));
  for (Service& service : services_) MELLOW_RETURN_IF_ERROR(StartService(&service));
  return absl::OkStatus();
}

absl::Status Supervisor::WaitUntilServing() {
  const SteadyTime deadline = SteadyTime::Now() + absl::Seconds(options_.timeout_seconds);
  while (!stop_requested_) {
    std::string how;
    while (Service* dead = ReapOne(&how)) {
      // Somebody took the port between our look and the service's bind: not the service's fault.
      const bool port_lost =
          !PortIsFree(PortOf(dead->entry.address)) || !PortIsFree(PortOf(dead->entry.metrics));
      if (!port_lost || ++dead->quick_deaths > 3)
        return absl::UnavailableError(absl::StrCat(dead->entry.name, " ", how, " while starting"));
      MELLOW_RETURN_IF_ERROR(AssignAddresses(dead));
      MELLOW_RETURN_IF_ERROR(StartService(dead));
    }
    bool all = true;
    for (Service& service : services_) {
      if (service.serving) continue;
      service.serving =
          rpc::CheckHealth(service.channel, service.entry.address, absl::Seconds(1)).ok();
      if (service.serving)
        Report(absl::StrCat("serving ", service.entry.name, " ", service.entry.address));
      all = all && service.serving;
    }
    if (all) return absl::OkStatus();
    if (SteadyTime::Now() > deadline) {
      const auto slow = std::find_if(services_.begin(), services_.end(),
                                     [](const Service& s) { return !s.serving; });
      return absl::DeadlineExceededError(
          absl::StrCat(slow->entry.name, " does not serve after ", options_.timeout_seconds, " s"));
    }
    WaitForSignal(SteadyTime::Now() + kPollPause);
  }
  return absl::CancelledError("interrupted");
}

void Supervisor::WaitUntilRegistered() {
  OrchestratorClient orchestrator(services_[0].entry.address);
  const SteadyTime deadline = SteadyTime::Now() + kRegistrationLimit;
  while (!stop_requested_ && SteadyTime::Now() < deadline) {
    const auto nodes = orchestrator.ListNodes();
    if (nodes.ok() && nodes->size() + 1 >= services_.size()) return;
    WaitForSignal(SteadyTime::Now() + kPollPause);
  }
  if (!stop_requested_)
    Log(Severity::kWarning, "not every node has registered with the orchestrator");
}

void Supervisor::WatchForever() {
  while (!stop_requested_) {
    WaitForSignal(NextRestart());
    std::string how;
    while (Service* dead = ReapOne(&how)) ScheduleRestart(dead, how);
    RestartDue();
  }
}

void Supervisor::StopAll() {
  Log(Severity::kInfo, "stopping");
  for (const Service& service : services_) {
    if (service.entry.pid > 0) kill(service.entry.pid, SIGTERM);
  }
  const SteadyTime deadline =
      SteadyTime::Now() + absl::Seconds(options_.drain_seconds) + kKillAfterDrain;
  const auto alive = [this] {
    return std::any_of(services_.begin(), services_.end(),
                       [](const Service& s) { return s.entry.pid > 0; });
  };
  std::string how;
  while (alive() && SteadyTime::Now() < deadline) {
    while (Service* dead = ReapOne(&how))
      Log(Severity::kInfo, "service stopped", {{"name", dead->entry.name}, {"how", how}});
    if (alive()) WaitForSignal(std::min(deadline, SteadyTime::Now() + absl::Seconds(1)));
  }
  for (Service& service : services_) {
    if (service.entry.pid <= 0) continue;
    Log(Severity::kWarning, "service killed: it did not stop in time",
        {{"name", service.entry.name}});
    kill(service.entry.pid, SIGKILL);
    while (waitpid(service.entry.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  RemoveClusterFile(options_.folder);
}

absl::Status Supervisor::AssignAddresses(Service* service) {
  MELLOW_ASSIGN_OR_RETURN(const int port, PickPort(ports_));
  ports_.insert(port);
  MELLOW_ASSIGN_OR_RETURN(const int metrics_port, PickPort(ports_));
  ports_.insert(metrics_port);
  service->entry.address = absl::StrCat("127.0.0.1:", port);
  service->entry.metrics = absl::StrCat("http://127.0.0.1:", metrics_port, "/metrics");
  service->channel = rpc::MakeChannel(service->entry.address);
  return absl::OkStatus();
}

absl::Status Supervisor::StartService(Service* service) {
  ServiceEntry& entry = service->entry;
  SpawnOptions spawn = {
      .arguments = service->plan.arguments, .cluster = options_.folder, .log = entry.log};
  const std::string metrics =
      absl::StrReplaceAll(entry.metrics, {{"http://", ""}, {"/metrics", ""}});
  spawn.arguments.insert(spawn.arguments.end(),
                         {"--address", entry.address, "--metrics-address", metrics});
  if (entry.role != "orchestrator")
    spawn.arguments.insert(spawn.arguments.end(), {"--orchestrator", services_[0].entry.address});
  service->serving = false;
  service->started = SteadyTime::Now();
  MELLOW_ASSIGN_OR_RETURN(entry.pid, Spawn(spawn));
  service->restart_at = SteadyTime::InfiniteFuture();
  Log(Severity::kInfo, "service started",
      {{"name", entry.name}, {"pid", entry.pid}, {"address", entry.address}});
  WriteFile();
  return absl::OkStatus();
}

Supervisor::Service* Supervisor::ReapOne(std::string* how) {
  int wait_status = 0;
  while (true) {
    const pid_t pid = waitpid(-1, &wait_status, WNOHANG);
    if (pid <= 0) return nullptr;
    for (Service& service : services_) {
      if (service.entry.pid != pid) continue;
      service.entry.pid = 0;
      *how = HowItEnded(wait_status);
      return &service;
    }
  }
}

void Supervisor::ScheduleRestart(Service* service, const std::string& how) {
  const SteadyTime now = SteadyTime::Now();
  service->quick_deaths = now - service->started < kQuickDeath ? service->quick_deaths + 1 : 0;
  // The first time at once; then half a second, one, two, ...
  const absl::Duration pause =
      service->quick_deaths == 0
          ? absl::ZeroDuration()
          : std::min(kLongestRestartPause,
                     absl::Milliseconds(250) * (1 << std::min(service->quick_deaths, 10)));
  service->restart_at = now + pause;
  Log(Severity::kWarning, "service died",
      {{"name", service->entry.name},
       {"how", how},
       {"restart_in_seconds", absl::ToDoubleSeconds(pause)}});
  WriteFile();
}

void Supervisor::RestartDue() {
  for (Service& service : services_) {
    if (service.restart_at > SteadyTime::Now()) continue;
    ++service.entry.restarts;
    absl::Status status;
    // The others know the orchestrator by its address, so that one waits until its port is free
    // again.
    if (service.quick_deaths > 0 && service.entry.role != "orchestrator" &&
        (!PortIsFree(PortOf(service.entry.address)) ||
         !PortIsFree(PortOf(service.entry.metrics)))) {
      status = AssignAddresses(&service);
    }
    if (status.ok()) status = StartService(&service);
    if (!status.ok()) ScheduleRestart(&service, std::string(status.message()));
  }
}

SteadyTime Supervisor::NextRestart() const {
  SteadyTime next = SteadyTime::InfiniteFuture();
  for (const Service& service : services_) next = std::min(next, service.restart_at);
  return next;
}

void Supervisor::WaitForSignal(SteadyTime deadline) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, s);
  // Capped, so that an endless wait needs no second code path.
  const absl::Duration wait =
      std::clamp(deadline - SteadyTime::Now(), absl::ZeroDuration(), absl::Hours(1));
  const timespec timeout = absl::ToTimespec(wait);
  const int got = sigtimedwait(&signals, nullptr, &timeout);
  if (got == SIGTERM || got == SIGINT) stop_requested_ = true;
}

void Supervisor::WriteFile() {
  ClusterFile file = {.supervisor_pid = getpid()};
  for (const Service& service : services_) file.services.push_back(service.entry);
  const absl::Status status = WriteClusterFile(options_.folder, file);
  if (!status.ok())
    Log(Severity::kError, "cannot write cluster.json", {{"error", status.ToString()}});
}

void Supervisor::Report(const std::string& line) {
  Log(Severity::kInfo, line);
  if (report_ < 0) return;
  const std::string text = line + "\n";
  // `up` may be gone; then nobody needs to know.
  if (write(report_, text.data(), text.size()) < 0) report_ = -1;
}

}  // namespace mellow::cli
