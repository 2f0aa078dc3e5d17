#include "common/rpc/callback_call.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "absl/strings/str_cat.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "tests/testing/wait_until.h"

namespace mellow::rpc {
namespace callback_call_test {

namespace v1 = policy::v1;
using ::mellow::testing::WaitUntil;
using ::testing::HasSubstr;

constexpr char kMethod[] = "/mellow.policy.v1.PolicyService/";

// Answers Summarize when the test says so, and streams "0", "1", ... with `padding` behind it.
class Service : public v1::PolicyService::WithCallbackMethod_GenerateStream<
                    v1::PolicyService::WithCallbackMethod_Summarize<v1::PolicyService::Service>> {
 public:
  grpc::ServerUnaryReactor* Summarize(grpc::CallbackServerContext* context,
                                      const v1::SummarizeRequest* request,
                                      v1::SummarizeResponse* response) override {
    const auto work = static_cast<int64_t>(request->dialogue().size());
    const auto enter = [&] { return limiter->Enter(context, work); };
    return UnaryCall::Make(*context, enter, [&](UnaryCall* call) {
      response->set_summary(request->dialogue());
      MutexLock lock(&mutex_);
      calls_.push_back(call);
      return absl::OkStatus();
    });
  }
  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateStreamRequest*) override {
    using Stream = PulledStream<v1::GenerateStreamResponse>;
    const auto start = [this](const std::shared_ptr<Stream>& stream) {
      stream->Begin([this, stream = stream.get(),
                     n = 0](v1::GenerateStreamResponse* response) mutable -> Stream::Next {
        using Next = Stream::Next;
        if (stream->gone()()) return {Next::kEnd, absl::CancelledError("gone")};
        ++pulls;
        response->set_text(absl::StrCat(n, std::string(padding, 'x')));
        return {n++ == messages ? Next::kLast : Next::kMessage, {}};
      });
      return absl::OkStatus();
    };
    return Stream::Make(
        *context, &workers_, [&] { return limiter->Enter(context); }, start);
  }

  int waiting() {
    MutexLock lock(&mutex_);
    return static_cast<int>(calls_.size());
  }
  // The oldest call that waits.
  UnaryCall* Take() {
    EXPECT_TRUE(WaitUntil([&] { return waiting() > 0; }));
    MutexLock lock(&mutex_);
    UnaryCall* call = calls_.front();
    calls_.erase(calls_.begin());
    return call;
  }

  CallLimiter* limiter = CallLimiter::None();
  std::atomic<int> pulls = 0;
  int messages = 3;
  size_t padding = 0;

 private:
  Mutex mutex_;
  std::vector<UnaryCall*> calls_ ABSL_GUARDED_BY(mutex_);
  Workers workers_{1};
};

class CallbackCallTest : public ::testing::Test {
 protected:
  void Start(const ServerOptions& options = {}) {
    auto server =
        Server::Start(options, {&service_}, {v1::PolicyService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::PolicyService::NewStub(MakeChannel(server_->address()));
  }
  std::future<grpc::Status> Call(const std::string& dialogue = "hello") {
    return std::async(std::launch::async, [this, dialogue] {
      grpc::ClientContext context;
      v1::SummarizeRequest request;
      request.set_dialogue(dialogue);
      v1::SummarizeResponse response;
      const grpc::Status status = stub_->Summarize(&context, request, &response);
      EXPECT_EQ(response.summary(), status.ok() ? dialogue : "");
      return status;
    });
  }
  grpc::Status Stream(std::string* text) {
    grpc::ClientContext context;
    auto reader = stub_->GenerateStream(&context, {});
    v1::GenerateStreamResponse response;
    while (reader->Read(&response)) *text += response.text();
    return reader->Finish();
  }

  obs::Metrics metrics_;
  Service service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::PolicyService::Stub> stub_;
};

TEST_F(CallbackCallTest, AnswersComeFromAnyThreadAndAreCounted) {
  Start({.max_threads = 2});
  std::vector<std::future<grpc::Status>> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(Call(absl::StrCat(i)));
  ASSERT_TRUE(WaitUntil([&] { return service_.waiting() == 20; })) << "they hold no thread";
  for (int i = 0; i < 20; ++i)
    service_.Take()->Answer(i < 19 ? absl::OkStatus() : absl::NotFoundError("no such thing"));
  int ok = 0;
  for (auto& call : calls) {
    const grpc::Status status = call.get();
    ok += status.ok();
    if (!status.ok()) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
      EXPECT_EQ(status.error_message(), "no such thing");
    }
  }
  EXPECT_EQ(ok, 19);
  EXPECT_THAT(metrics_.Text(), HasSubstr(absl::StrCat("handled_total{code=\"OK\",method=\"",
                                                      kMethod, "Summarize\"} 19\n")));
}

TEST_F(CallbackCallTest, AConnectionHasSoManyCallsAtATimeAndAnotherOneItsOwn) {
  Start({.max_streams_per_connection = 3});
  std::vector<std::future<grpc::Status>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(Call(absl::StrCat(i)));
  ASSERT_TRUE(WaitUntil([&] { return service_.waiting() == 3; }));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else it is the same connection
  const auto other = v1::PolicyService::NewStub(
      grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments));
  calls.push_back(std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::SummarizeResponse response;
    return other->Summarize(&context, {}, &response);
  }));
  ASSERT_TRUE(WaitUntil([&] { return service_.waiting() > 3; }));
  EXPECT_EQ(service_.waiting(), 4) << "that of the other connection";
  for (size_t i = 0; i < calls.size(); ++i) service_.Take()->Answer(absl::OkStatus());
  for (auto& call : calls) EXPECT_TRUE(call.get().ok());
}

TEST_F(CallbackCallTest, TheLimitsOfAClientHold) {
  CallLimiter limiter({.concurrency = 3}, nullptr, {}, RefusalCounter(&metrics_));
  service_.limiter = &limiter;
  Start();
  auto running = Call("aa");
  ASSERT_TRUE(WaitUntil([&] { return service_.waiting() == 1; }));
  const grpc::Status refused = Call("bb").get();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.error_message(),
            "client 127.0.0.1: at most 3 calls in progress (this one counts as 2); wait for one of "
            "them");
  auto third = Call("c");
  ASSERT_TRUE(WaitUntil([&] { return service_.waiting() == 2; }));
  std::string text;
  EXPECT_EQ(Stream(&text).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(service_.pulls, 0) << "the handler was not entered";
  service_.Take()->Answer(absl::OkStatus());
  service_.Take()->Answer(absl::OkStatus());
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(third.get().ok());
  EXPECT_TRUE(WaitUntil([&] { return Stream(&text).ok(); })) << "what has ended is given back";
  EXPECT_EQ(text, "0123");
  EXPECT_THAT(metrics_.Text(),
              HasSubstr("mellow_rpc_server_refused_total{reason=\"concurrency\"} "));
  EXPECT_THAT(metrics_.Text(),
              HasSubstr(absl::StrCat("handled_total{code=\"RESOURCE_EXHAUSTED\",method=\"", kMethod,
                                     "Summarize\"} 1\n")));
  server_.reset();  // before the limiter
}

TEST_F(CallbackCallTest, AStreamWhoseReaderDoesNotReadIsPulledNoFurther) {
  service_.padding = 1 << 20;
  service_.messages = 60;
  Start();
  grpc::ClientContext context;
  auto reader = stub_->GenerateStream(&context, {});
  v1::GenerateStreamResponse response;
  ASSERT_TRUE(reader->Read(&response));
  // Another reader has all of its stream meanwhile.
  stub_ = v1::PolicyService::NewStub(MakeChannel(server_->address()));
  std::string text;
  EXPECT_TRUE(Stream(&text).ok());
  EXPECT_LT(service_.pulls, 61 + 50)
      << "all of the other one, and what fits into the transport's windows";
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server_->Shutdown(absl::Hours(1));  // the stream has ended
}

TEST_F(CallbackCallTest, ACallerWhoLeavesIsNoticed) {
  Start();
  grpc::ClientContext context;
  auto status = std::async(std::launch::async, [&] {
    v1::SummarizeResponse response;
    return stub_->Summarize(&context, {}, &response);
  });
  UnaryCall* call = service_.Take();
  context.TryCancel();
  EXPECT_TRUE(WaitUntil([&] { return call->gone()(); }));
  call->Answer(absl::CancelledError("the caller cancelled"));
  EXPECT_EQ(status.get().error_code(), grpc::StatusCode::CANCELLED);
  server_->Shutdown(absl::Hours(1));
}

TEST_F(CallbackCallTest, TheDrainEndsCallsThatAreNotAnswered) {
  Start();
  auto call = Call();
  ASSERT_TRUE(WaitUntil([&] { return service_.waiting() == 1; }));
  auto shutdown =
      std::async(std::launch::async, [&] { server_->Shutdown(absl::Milliseconds(10)); });
  EXPECT_FALSE(call.get().ok());
  UnaryCall* late = service_.Take();
  EXPECT_TRUE(WaitUntil([&] { return late->gone()(); }));
  late->Answer(absl::CancelledError("the caller cancelled"));
  shutdown.get();
}

}  // namespace callback_call_test
}  // namespace mellow::rpc
