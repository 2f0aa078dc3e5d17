#include "common/rpc/metrics_interceptor.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace mellow::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;

const char* CodeName(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  const int index = static_cast<int>(code);
  return index >= 0 && index < static_cast<int>(std::size(kNames)) ? kNames[index] : "UNKNOWN";
}

// "/mellow.policy.v1.PolicyService/Summarize" as it is; a method that no service of this program
// has is "unknown". The name is the caller's, and every new label would be kept for ever.
std::string MethodLabel(const std::string& path) {
  // gRPC's own health service has no descriptor here.
  if (path == "/grpc.health.v1.Health/Check" || path == "/grpc.health.v1.Health/Watch") return path;
  if (path.size() < 2 || path[0] != '/') return "unknown";
  std::string name = path.substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  const bool known =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name) != nullptr;
  return known ? path : "unknown";
}

class MetricsInterceptor : public grpc::experimental::Interceptor {
 public:
  MetricsInterceptor(obs::Metrics* metrics, CallsInProgress* calls, std::string method)
      : metrics_(metrics),
        calls_(calls),
        method_(std::move(method)),
        start_(std::chrono::steady_clock::now()) {
    calls_->Add(1);
  }
  ~MetricsInterceptor() override { calls_->Add(-1); }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
      metrics_
          ->AddHistogram("mellow_rpc_server_seconds",
                         "Time from the start of a call to its status, in seconds.",
                         obs::LatencyBounds(), {{"method", method_}})
          .Observe(seconds);
      metrics_
          ->AddCounter(
              "mellow_rpc_server_handled_total", "Calls answered, by status code.",
              {{"method", method_}, {"code", CodeName(methods->GetSendStatus().error_code())}})
          .Increment();
    }
    methods->Proceed();
  }

 private:
  obs::Metrics* metrics_;
  CallsInProgress* calls_;
  std::string method_;
  std::chrono::steady_clock::time_point start_;
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  Factory(obs::Metrics* metrics, CallsInProgress* calls) : metrics_(metrics), calls_(calls) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new MetricsInterceptor(metrics_, calls_, MethodLabel(info->method()));
  }

 private:
  obs::Metrics* metrics_;
  CallsInProgress* calls_;
};

}  // namespace

void CallsInProgress::Add(int calls) {
  {
    MutexLock lock(&mutex_);
    calls_ += calls;
    if (calls_ > 0) return;
  }
  none_.NotifyAll();
}

bool CallsInProgress::WaitForNone(absl::Time deadline) {
  MutexLock lock(&mutex_);
  while (calls_ > 0) {
    if (!none_.WaitUntil(&mutex_, deadline)) return calls_ == 0;
  }
  return true;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeMetricsInterceptorFactory(obs::Metrics* metrics, CallsInProgress* calls) {
  return std::make_unique<Factory>(metrics, calls);
}

}  // namespace mellow::rpc
