// Calls of the callback API in which one allocation fails, at every place where one can: each ends
// with its answer or with RESOURCE_EXHAUSTED, and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "common/rpc/callback_call.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/wait_until.h"

namespace mellow::rpc {
namespace {

namespace v1 = policy::v1;
using ::mellow::testing::FailingNew;

// Lets the `at`-th allocation fail until it goes; none where `at` is 0.
class Armed {
 public:
  explicit Armed(int64_t at) : armed_(at > 0) {
    if (armed_) FailingNew::Arm(at);
  }
  ~Armed() {
    if (armed_) FailingNew::Disarm();
  }

 private:
  const bool armed_;
};

class FailingService
    : public v1::PolicyService::WithCallbackMethod_GenerateStream<
          v1::PolicyService::WithCallbackMethod_Summarize<v1::PolicyService::Service>> {
 public:
  grpc::ServerUnaryReactor* Summarize(grpc::CallbackServerContext* context,
                                      const v1::SummarizeRequest* request,
                                      v1::SummarizeResponse* response) override {
    const Armed armed(in_handler);
    return UnaryCall::Make(
        *context, [&] { return limiter->Enter(context, *request); },
        [&](UnaryCall* call) {
          call->ContinueIn(&workers_, Workers::Urgency::kRequest, [this, call, response] {
            const Armed armed_too(in_worker);
            const std::string text(100, 'x');
            call->AnswerIn(&workers_, [response, text] {
              response->set_summary(text);
              return absl::OkStatus();
            });
            return absl::OkStatus();
          });
          return absl::OkStatus();
        });
  }
  grpc::ServerWriteReactor<v1::GenerateStreamResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateStreamRequest* request) override {
    using Stream = PulledStream<v1::GenerateStreamResponse>;
    using Next = Stream::Next;
    const Armed armed(in_handler);
    return Stream::Make(
        *context, &workers_, [&] { return limiter->Enter(context, *request); },
        [this](const std::shared_ptr<Stream>& stream) {
          stream->Begin([this](v1::GenerateStreamResponse* response) -> Next {
            const Armed armed_too(in_worker);
            response->set_text(std::string(100, 'x'));
            return {Next::kLast, {}};
          });
          return absl::OkStatus();
        });
  }

  CallLimiter* limiter = nullptr;
  std::atomic<int64_t> in_handler = 0;
  std::atomic<int64_t> in_worker = 0;

 private:
  Workers workers_{1};
};

class FailedAllocationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    service_.limiter = &limiter_;
    auto server =
        Server::Start({}, {&service_}, {v1::PolicyService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::PolicyService::NewStub(MakeChannel(server_->address()));
  }
  void TearDown() override { server_.reset(); }

  grpc::Status Summarize() {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(60));
    v1::SummarizeResponse response;
    return stub_->Summarize(&context, {}, &response);
  }
  grpc::Status Stream() {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(60));
    auto reader = stub_->GenerateStream(&context, {});
    v1::GenerateStreamResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  }
  // Calls with failures at the first places of one part of the service. At most one call of a
  // client is in progress, so a place that is not given back refuses all that follow.
  template <typename Call>
  void CheckEveryPlace(std::atomic<int64_t>* at, const Call& call) {
    int disturbed = 0;
    for (int64_t place = 1; place <= 40; ++place) {
      SCOPED_TRACE(place);
      *at = place;
      grpc::Status status;
      int64_t failures = 0;
      // gRPC's thread gives a place back a moment after the client has its answer.
      ASSERT_TRUE(testing::WaitUntil([&] {
        refused_ = 0;
        failures = FailingNew::failures();
        status = call();
        failures = FailingNew::failures() - failures;
        return refused_ == 0;
      })) << "the place of a call that failed is still taken";
      disturbed += failures > 0;
      EXPECT_EQ(status.error_code(),
                failures > 0 ? grpc::StatusCode::RESOURCE_EXHAUSTED : grpc::StatusCode::OK)
          << status.error_message();
    }
    EXPECT_GE(disturbed, 2) << "or nothing was disturbed";
  }

  obs::Metrics metrics_;
  std::atomic<int> refused_ = 0;
  CallLimiter limiter_{{.concurrency = 1}, nullptr, {}, [this](const std::string&) { ++refused_; }};
  FailingService service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::PolicyService::Stub> stub_;
};

TEST_F(FailedAllocationTest, AHandlersIsItsCallsError) {
  CheckEveryPlace(&service_.in_handler, [this] { return Summarize(); });
}

TEST_F(FailedAllocationTest, AWorkersIsItsCallsError) {
  CheckEveryPlace(&service_.in_worker, [this] { return Summarize(); });
}

TEST_F(FailedAllocationTest, AStreamsHandlersIsTheStreamsEnd) {
  CheckEveryPlace(&service_.in_handler, [this] { return Stream(); });
}

TEST_F(FailedAllocationTest, APullsIsTheStreamsEnd) {
  CheckEveryPlace(&service_.in_worker, [this] { return Stream(); });
}

}  // namespace
}  // namespace mellow::rpc
