#include "common/rpc/metrics_interceptor.h"

#include <google/protobuf/descriptor.h>

#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"

namespace mellow::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;

constexpr char kReflectionMethod[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
// For names that are the caller's own: every new label would be kept forever.
constexpr char kUnknownMethod[] = "unknown";

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

// The paths of all methods of `services`.
std::set<std::string> MethodsOf(const std::vector<std::string>& services) {
  // gRPC's own health service has no descriptor here.
  std::set<std::string> methods = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
                                   kReflectionMethod};
  for (const std::string& name : services) {
    const google::protobuf::ServiceDescriptor* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i)
      methods.insert(absl::StrCat("/", name, "/", service->method(i)->name()));
  }
  return methods;
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
  Factory(obs::Metrics* metrics, CallsInProgress* calls, std::set<std::string> methods)
      : metrics_(metrics), calls_(calls), methods_(std::move(methods)) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    const bool known = methods_.contains(info->method());
    return new MetricsInterceptor(metrics_, calls_, known ? info->method() : kUnknownMethod);
  }

 private:
  obs::Metrics* metrics_;
  CallsInProgress* calls_;
  const std::set<std::string> methods_;
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

bool CallsInProgress::WaitForNone(SteadyTime deadline) {
  MutexLock lock(&mutex_);
  while (calls_ > 0) {
    if (!none_.WaitUntil(&mutex_, deadline)) return calls_ == 0;
  }
  return true;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeMetricsInterceptorFactory(obs::Metrics* metrics, CallsInProgress* calls,
                              const std::vector<std::string>& services) {
  return std::make_unique<Factory>(metrics, calls, MethodsOf(services));
}

}  // namespace mellow::rpc
