#include "common/rpc/stream_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "mellow/policy/v1/policy.grpc.pb.h"

namespace mellow::rpc {
namespace stream_guard_test {

namespace v1 = policy::v1;
using ::testing::HasSubstr;

// Streams messages of 1 MiB forever.
class Service : public v1::PolicyService::Service {
 public:
  explicit Service(StreamGuard* guard) : guard_(guard) {}
  grpc::Status GenerateStream(grpc::ServerContext* context, const v1::GenerateStreamRequest*,
                              grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
    return guard_->During([&] {
      v1::GenerateStreamResponse response;
      response.set_text(std::string(1 << 20, 'x'));
      while (guard_->Write(context, writer, response)) {
      }
      return absl::CancelledError("the watcher is gone");
    });
  }

 private:
  StreamGuard* const guard_;
};

class StreamGuardTest : public ::testing::Test {
 protected:
  void Start(absl::Duration patience) {
    guard_ = std::make_unique<StreamGuard>(patience, /*max_streams=*/1);
    service_ = std::make_unique<Service>(guard_.get());
    auto server =
        Server::Start({}, {service_.get()}, {v1::PolicyService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::PolicyService::NewStub(MakeChannel(server_->address()));
    reader_ = stub_->GenerateStream(&context_, {});
    v1::GenerateStreamResponse response;
    ASSERT_TRUE(reader_->Read(&response));
  }
  // Reads nothing anymore and waits for the status.
  grpc::Status Finish() {
    v1::GenerateStreamResponse response;
    while (reader_->Read(&response)) {
    }
    return reader_->Finish();
  }

  obs::Metrics metrics_;
  std::unique_ptr<StreamGuard> guard_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::PolicyService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateStreamResponse>> reader_;
};

TEST_F(StreamGuardTest, AReaderThatDoesNotReadIsCutOffAndToldSo) {
  Start(absl::Milliseconds(100));
  // Its thread is free again when the next one is let in.
  grpc::Status next;
  v1::GenerateStreamResponse response;
  do {
    grpc::ClientContext context;
    auto reader = stub_->GenerateStream(&context, {});
    if (reader->Read(&response)) break;
    next = reader->Finish();
    ASSERT_EQ(next.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    ASSERT_EQ(next.error_message(), "1 watchers already");
  } while (true);
  const grpc::Status status = Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("no message was read for 100ms: cut off"));
}

TEST_F(StreamGuardTest, ADrainDoesNotWaitForReadersThatDoNotRead) {
  Start(absl::Hours(1));
  guard_->CutAll(absl::UnavailableError("shutting down"));
  server_->Shutdown(absl::Hours(1));  // returns because the handler has
  const grpc::Status status = Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "shutting down");
  EXPECT_EQ(guard_->During([] { return absl::OkStatus(); }).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

}  // namespace stream_guard_test
}  // namespace mellow::rpc
