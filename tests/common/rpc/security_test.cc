// TLS, roles, tokens and limits of real servers and channels on loopback ports.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <future>
#include <list>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/rpc/call_limiter.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"
#include "common/tls/openssl.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/test_certificates.h"
#include "tests/testing/wait_until.h"

namespace mellow::rpc {
namespace security_test {

namespace v1 = policy::v1;
using ::mellow::testing::IssuedCertificate;
using ::mellow::testing::TestAuthority;
using ::mellow::testing::WaitUntil;
using ::testing::HasSubstr;

constexpr absl::Duration kPeriod = absl::Milliseconds(20);

// A service with a method of each kind, that answers when it may.
class Service : public v1::PolicyService::Service {
 public:
  grpc::Status Summarize(grpc::ServerContext* context, const v1::SummarizeRequest* request,
                         v1::SummarizeResponse* response) override {
    return limiter->Answer(context, [&] {
      MutexLock lock(&mutex_);
      ++entered_;
      changed_.NotifyAll();
      while (held_) changed_.Wait(&mutex_);
      response->set_summary(request->dialogue());
      return absl::OkStatus();
    });
  }
  grpc::Status GenerateStream(grpc::ServerContext* context, const v1::GenerateStreamRequest*,
                              grpc::ServerWriter<v1::GenerateStreamResponse>* writer) override {
    return limiter->Answer(context, [&] {
      writer->Write({});
      return absl::OkStatus();
    });
  }
  grpc::Status PublishAdapter(grpc::ServerContext* context,
                              grpc::ServerReader<common::v1::AdapterChunk>* reader,
                              v1::PublishAdapterResponse*) override {
    return limiter->Answer(context, [&] {
      common::v1::AdapterChunk chunk;
      while (reader->Read(&chunk)) {
      }
      return absl::OkStatus();
    });
  }

  CallLimiter* limiter = CallLimiter::None();

  void Hold(bool held) {
    MutexLock lock(&mutex_);
    held_ = held;
    changed_.NotifyAll();
  }
  int entered() {
    MutexLock lock(&mutex_);
    return entered_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int entered_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A client for what none of gRPC's does, with one connection to a port of loopback.
class BareTlsClient {
 public:
  struct How {
    int max_version = 0;  // 0: the newest
    bool alpn = true;     // asks for HTTP/2
    std::string trusted;  // PEM; empty: trusts everybody
  };

  // Without a certificate when `issued` has none.
  BareTlsClient(int port, const IssuedCertificate& issued)
      : context_(SSL_CTX_new(TLS_client_method())),
        connection_(BIO_new_connect(absl::StrCat("127.0.0.1:", port).c_str())) {
    EXPECT_EQ(BIO_do_connect(connection_.get()), 1);
    SSL_CTX_set_security_level(context_.get(), 0);  // or OpenSSL would not try what is old
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    if (issued.cert.empty()) return;
    const tls::KeyPtr key = tls::ParseKey(issued.key);
    EXPECT_EQ(SSL_CTX_use_certificate(context_.get(), tls::ParseCertificates(issued.cert)[0].get()),
              1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_.get(), key.get()), 1);
  }

  // Sends the bytes as they are, and waits until the server has closed the connection.
  void Send(const std::string& bytes) {
    EXPECT_EQ(BIO_write(connection_.get(), bytes.data(), static_cast<int>(bytes.size())),
              static_cast<int>(bytes.size()));
    shutdown(static_cast<int>(BIO_get_fd(connection_.get(), nullptr)), SHUT_WR);
    char answer[1024];
    while (BIO_read(connection_.get(), answer, sizeof(answer)) > 0) {
    }
  }
  // Whether the server has anything to say after the handshake.
  bool Handshake(const How& how) {
    SSL_CTX_set_max_proto_version(context_.get(), how.max_version);
    if (!how.trusted.empty()) {
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
      SSL_CTX_set_cert_store(context_.get(), tls::MakeStore(how.trusted).release());
    }
    const std::unique_ptr<SSL, tls::Freer<SSL_free>> ssl(SSL_new(context_.get()));
    constexpr unsigned char kHttp2[] = {2, 'h', '2'};
    if (how.alpn) SSL_set_alpn_protos(ssl.get(), kHttp2, sizeof(kHttp2));
    BIO_up_ref(connection_.get());
    SSL_set_bio(ssl.get(), connection_.get(), connection_.get());
    char first;
    const bool spoke = SSL_connect(ssl.get()) == 1 && SSL_read(ssl.get(), &first, 1) == 1;
    ERR_clear_error();
    return spoke;
  }

 private:
  const tls::ContextPtr context_;
  const tls::BioPtr connection_;
};

AccessTable Access() {
  return {{"/mellow.policy.v1.PolicyService/Summarize", {"user", "operator", "node"}},
          {"/mellow.policy.v1.PolicyService/GenerateStream", {"user"}},
          {"/mellow.policy.v1.PolicyService/PublishAdapter", {"orchestrator", "user"}}};
}

class RpcSecurityTest : public ::testing::Test {
 protected:
  tls::Files Write(const std::string& name, const IssuedCertificate& issued,
                   const TestAuthority& trusted) {
    const tls::Files files = {folder_ / (name + ".pem"), folder_ / (name + "-key.pem"),
                              folder_ / (name + "-ca.pem")};
    EXPECT_TRUE(WriteFileAtomic(files.cert, issued.cert).ok());
    EXPECT_TRUE(WriteFileAtomic(files.key, issued.key).ok());
    EXPECT_TRUE(WriteFileAtomic(files.ca, trusted.Pem()).ok());
    return files;
  }

  std::shared_ptr<tls::FollowedCertificates> Watch(const tls::Files& files) {
    auto watcher = tls::FollowCertificates(files, kPeriod);
    EXPECT_TRUE(watcher.ok()) << watcher.status();
    return *std::move(watcher);
  }

  // A TLS server whose certificate says role node.
  void StartServer(tls::ClientAuth auth = tls::ClientAuth::kRequire, ServerOptions options = {}) {
    server_files_ = Write("server", authority_.Issue("node", "server"), authority_);
    std::shared_ptr<const TokenTable> tokens;
    if (!tokens_.empty()) {
      const std::string path = folder_ / "tokens";
      ASSERT_TRUE(WriteFileAtomic(path, tokens_).ok());
      ASSERT_EQ(chmod(path.c_str(), 0600), 0);
      auto table = TokenTable::Open(path, kPeriod);
      ASSERT_TRUE(table.ok()) << table.status();
      tokens = *table;
    }
    options.security = {Watch(server_files_), auth, tokens, Access()};
    StartWith(options);
  }
  // Before the server.
  void Limit(const ClientLimits::Options& limits, std::set<std::string> exempt = {}) {
    limiter_ = std::make_unique<CallLimiter>(limits, nullptr, std::move(exempt),
                                             RefusalCounter(&metrics_));
    service_.limiter = limiter_.get();
  }
  void StartWith(const ServerOptions& options) {
    auto server =
        Server::Start(options, {&service_}, {v1::PolicyService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->SetServing(true);
  }

  // A channel that shows `issued` and trusts `trusted`.
  std::shared_ptr<grpc::Channel> Connect(const IssuedCertificate& issued,
                                         const TestAuthority& trusted,
                                         const std::string& token = "") {
    return Connect(Write(absl::StrCat("client", ++clients_), issued, trusted), token);
  }
  std::shared_ptr<grpc::Channel> Connect(const std::string& role) {
    return Connect(authority_.Issue(role, "x"), authority_);
  }
  std::shared_ptr<grpc::Channel> Connect(const tls::Files& files, const std::string& token = "") {
    std::shared_ptr<const TokenFile> token_file;
    if (!token.empty()) {
      const std::string path = folder_ / absl::StrCat("token", ++clients_);
      EXPECT_TRUE(WriteFileAtomic(path, token).ok());
      token_file = *TokenFile::Open(path);
    }
    return MakeChannel(server_->address(),
                       MakeChannelCredentials(Watch(files), token_file, {"node", "orchestrator"}));
  }
  // A client without a certificate.
  tls::Files OnlyCa() {
    return {"", "", Write("ca-only", authority_.Issue("x", "x"), authority_).ca};
  }

  static grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel,
                           const std::string& dialogue = "hello") {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(20));
    v1::SummarizeRequest request;
    request.set_dialogue(dialogue);
    v1::SummarizeResponse response;
    // A connection that is refused is tried again until the deadline when the call waits for it.
    return v1::PolicyService::NewStub(channel)->Summarize(&context, request, &response);
  }
  static grpc::Status Stream(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(20));
    auto reader = v1::PolicyService::NewStub(channel)->GenerateStream(&context, {});
    v1::GenerateStreamResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  }
  static grpc::Status Publish(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(20));
    v1::PublishAdapterResponse response;
    auto writer = v1::PolicyService::NewStub(channel)->PublishAdapter(&context, &response);
    common::v1::AdapterChunk chunk;
    chunk.set_data(std::string(1 << 16, 'x'));
    // More than any window: the server has to end the call for this to return.
    for (int i = 0; i < 1000 && writer->Write(chunk); ++i) {
    }
    writer->WritesDone();
    return writer->Finish();
  }

  // Opens a stream of grpc.reflection and closes it.
  static grpc::Status Reflect(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    SetTimeout(&context, absl::Seconds(20));
    grpc::GenericStub stub(channel);
    grpc::CompletionQueue queue;
    auto call = stub.PrepareCall(
        &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
    grpc::Status status;
    void* tag = nullptr;
    bool ok = false;
    const auto wait = [&] { queue.Next(&tag, &ok); };
    call->StartCall(nullptr);
    wait();
    call->WritesDone(nullptr);
    wait();
    call->Finish(&status, nullptr);
    wait();
    return status;
  }

  double Refused(const std::string& reason) {
    return Value("mellow_rpc_server_refused_total{reason=\"" + reason + "\"} ");
  }
  double HandshakeFailures() { return Value("mellow_rpc_server_handshake_failures_total "); }
  double Value(const std::string& series) {
    const std::string text = metrics_.Text();
    const size_t at = text.find("\n" + series);
    return at == std::string::npos ? 0 : std::stod(text.substr(at + 1 + series.size()));
  }

  const mellow::testing::TempFolder folder_;
  const TestAuthority authority_;
  std::string tokens_;
  tls::Files server_files_;
  int clients_ = 0;
  obs::Metrics metrics_;
  std::unique_ptr<CallLimiter> limiter_;
  Service service_;
  std::unique_ptr<Server> server_;
};

TEST_F(RpcSecurityTest, AClientOfTheCaCallsWhatItsRoleMay) {
  StartServer();
  EXPECT_TRUE(Call(Connect("user")).ok()) << Call(Connect("user")).error_message();
  EXPECT_TRUE(Stream(Connect("user")).ok());
  EXPECT_TRUE(Publish(Connect("orchestrator")).ok());
  EXPECT_TRUE(CheckHealth(Connect("user"), "x", absl::Seconds(20)).ok());
}

TEST_F(RpcSecurityTest, AWrongRoleIsDeniedByNameAndCounted) {
  StartServer();
  const grpc::Status unary = Call(Connect("orchestrator"));
  EXPECT_EQ(unary.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(unary.error_message(), HasSubstr("role orchestrator"));
  EXPECT_THAT(unary.error_message(), HasSubstr("PolicyService/Summarize"));
  EXPECT_EQ(Stream(Connect("node")).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Publish(Connect("operator")).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Refused("permission_denied"), 3);
  EXPECT_EQ(service_.entered(), 0);
}

TEST_F(RpcSecurityTest, ACertificateWithoutARoleIsNobodyButMayAskForHealth) {
  StartServer();
  const auto channel = Connect(authority_.Issue({}), authority_);
  EXPECT_EQ(Call(channel).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Refused("unauthenticated"), 1);
  EXPECT_TRUE(CheckHealth(channel, "x", absl::Seconds(20)).ok());
}

TEST_F(RpcSecurityTest, UntrustedClientsDoNotConnectAndAreCountedByReason) {
  StartServer();
  const TestAuthority other;
  EXPECT_EQ(Call(Connect(other.Issue("user", "x"), authority_)).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(WaitUntil([&] { return Refused("unknown_ca") >= 1; }));
  EXPECT_TRUE(WaitUntil([&] { return HandshakeFailures() >= 1; }));

  // Our own reader would not load it, so this client is one of gRPC's.
  const absl::Time now = absl::Now();
  const IssuedCertificate expired = authority_.Issue({.uri = "spiffe://mellow/user/x",
                                                      .begin = now - absl::Hours(2),
                                                      .end = now - absl::Hours(1)});
  const auto foreign = grpc::CreateChannel(
      server_->address(), grpc::SslCredentials({authority_.Pem(), expired.key, expired.cert}));
  EXPECT_EQ(Call(foreign).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(WaitUntil([&] { return Refused("certificate_expired") >= 1; }));

  EXPECT_EQ(Call(Connect(OnlyCa())).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(WaitUntil([&] { return Refused("no_certificate") >= 1; }));
  EXPECT_EQ(service_.entered(), 0);
}

TEST_F(RpcSecurityTest, OrdinaryClientsCheckTheHostNameAndConnect) {
  StartServer();
  const IssuedCertificate ann = authority_.Issue("user", "ann");
  const auto channel = grpc::CreateChannel(
      server_->address(), grpc::SslCredentials({authority_.Pem(), ann.key, ann.cert}));
  EXPECT_TRUE(Call(channel).ok()) << Call(channel).error_message();
}

TEST_F(RpcSecurityTest, AClientRefusesAServerOfAnotherCaOrWithoutAServersRole) {
  StartServer();
  const TestAuthority other;
  const grpc::Status foreign = Call(Connect(authority_.Issue("user", "x"), other));
  EXPECT_EQ(foreign.error_code(), grpc::StatusCode::UNAVAILABLE);
  server_.reset();

  // Somebody with a user's certificate plays server.
  const tls::Files files = Write("rogue", authority_.Issue("user", "mallory"), authority_);
  ServerOptions options;
  options.security = {Watch(files), tls::ClientAuth::kRequire, nullptr, Access()};
  StartWith(options);
  const grpc::Status rogue = Call(Connect("user"));
  EXPECT_EQ(rogue.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(service_.entered(), 0);
}

TEST_F(RpcSecurityTest, PlaintextToATlsPortIsRefusedAndCounted) {
  StartServer();
  EXPECT_EQ(Call(MakeChannel(server_->address())).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(WaitUntil([&] { return HandshakeFailures() >= 1; }));
}

// What gRPC refuses by itself, each by one connection of a bare TLS client.
TEST_F(RpcSecurityTest, EveryFailedHandshakeIsCountedOnceAndNoOtherConnection) {
  StartServer();
  const IssuedCertificate ann = authority_.Issue("user", "ann");
  double expected = 0;
  const auto expect_failures = [&](double failures, const char* what) {
    expected += failures;
    EXPECT_TRUE(WaitUntil([&] { return HandshakeFailures() == expected; }))
        << what << ": " << HandshakeFailures() << ", not " << expected;
  };
  {
    const auto channel = Connect("user");
    EXPECT_TRUE(Call(channel).ok());
  }
  BareTlsClient(server_->port(), ann).Send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  expect_failures(1, "plaintext");
  BareTlsClient(server_->port(), ann).Send(std::string("\x16\x03\x01\x00\x05", 5));
  expect_failures(1, "the beginning of a handshake");
  EXPECT_FALSE(BareTlsClient(server_->port(), ann).Handshake({.max_version = TLS1_1_VERSION}));
  expect_failures(1, "too old a TLS");
  EXPECT_FALSE(BareTlsClient(server_->port(), ann).Handshake({.trusted = ann.cert}));
  expect_failures(1, "a client that does not trust us");
  EXPECT_FALSE(BareTlsClient(server_->port(), ann).Handshake({.alpn = false}));
  expect_failures(1, "no ALPN");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_TRUE(BareTlsClient(server_->port(), ann).Handshake({.max_version = version}));
  }
  EXPECT_EQ(Refused("no_certificate"), 0);
  EXPECT_FALSE(BareTlsClient(server_->port(), {}).Handshake({}));
  EXPECT_TRUE(WaitUntil([&] { return Refused("no_certificate") == 1; }));
  expect_failures(1, "no certificate");
  server_.reset();
  EXPECT_EQ(HandshakeFailures(), expected) << "connections that stood are not failures";
}

TEST_F(RpcSecurityTest, TlsToAPlaintextPortIsRefused) {
  StartWith({});
  EXPECT_EQ(Call(Connect("user")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Call(MakeChannel(server_->address())).ok());
}

TEST_F(RpcSecurityTest, TokensStandForRolesAndWrongOnesAreRefused) {
  tokens_ = "user-token-0123456789 user ann\nnode-token-0123456789 orchestrator o\n";
  StartServer(tls::ClientAuth::kOptional);
  EXPECT_TRUE(Call(Connect(OnlyCa(), "user-token-0123456789")).ok());
  EXPECT_EQ(Call(Connect(OnlyCa(), "node-token-0123456789")).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Call(Connect(OnlyCa(), "another-token-0123456")).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call(Connect(OnlyCa())).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  // A certificate does not make up for a wrong token.
  EXPECT_EQ(Call(Connect(authority_.Issue("user", "x"), authority_, "another-token-0123456"))
                .error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Refused("unauthenticated"), 3);
  EXPECT_TRUE(Call(Connect("user")).ok()) << "optional: certificates still count";
  // But one that is not trusted does not connect.
  EXPECT_EQ(Call(Connect(TestAuthority().Issue("user", "x"), authority_)).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RpcSecurityTest, WithoutClientCertificatesATokenIsNeeded) {
  tokens_ = "user-token-0123456789 user ann\n";
  StartServer(tls::ClientAuth::kNone);
  EXPECT_TRUE(Call(Connect(OnlyCa(), "user-token-0123456789")).ok());
  EXPECT_EQ(Call(Connect("user")).error_code(), grpc::StatusCode::UNAUTHENTICATED)
      << "the certificate was not asked for";
}

TEST_F(RpcSecurityTest, CertificatesRotateUnderRunningCalls) {
  StartServer();
  const auto before = Connect("user");
  service_.Hold(true);
  auto running = std::async(std::launch::async, [&] { return Call(before); });
  ASSERT_TRUE(WaitUntil([&] { return service_.entered() == 1; }));
  // A new authority on both sides: who connects from now on needs it.
  const TestAuthority next;
  const IssuedCertificate user = next.Issue("user", "new");
  Write("server", next.Issue("node", "server"), next);
  EXPECT_TRUE(WaitUntil([&] {
    // The held call is in this service too: ask for health.
    return CheckHealth(Connect(user, next), "x", absl::Seconds(5)).ok();
  }));
  EXPECT_TRUE(WaitUntil([&] {
    return !CheckHealth(Connect(authority_.Issue("user", "old"), authority_), "x", absl::Seconds(5))
                .ok();
  }));
  // Half of a pair: the server goes on with what it has.
  ASSERT_TRUE(WriteFileAtomic(server_files_.key, authority_.Issue("node", "y").key).ok());
  service_.Hold(false);
  EXPECT_TRUE(running.get().ok()) << "a call in progress is not disturbed";
  EXPECT_TRUE(Call(before).ok()) << "nor is its connection";
  EXPECT_TRUE(Call(Connect(user, next)).ok());
}

TEST_F(RpcSecurityTest, AClientTakesItsNewCertificateForTheNextConnection) {
  StartServer();
  const tls::Files files = Write("renewed", authority_.Issue("user", "ann"), authority_);
  const auto channel = Connect(files);
  EXPECT_TRUE(Call(channel).ok());
  // Both sides move to another authority; the same channel finds the way when it connects again.
  const TestAuthority next;
  Write("renewed", next.Issue("user", "ann"), next);
  Write("server", next.Issue("node", "server"), next);
  ServerOptions options;
  options.address = server_->address();
  options.security = {Watch(server_files_), tls::ClientAuth::kRequire, nullptr, Access()};
  server_.reset();
  StartWith(options);
  EXPECT_TRUE(WaitUntil([&] { return Call(channel).ok(); }));
}

TEST_F(RpcSecurityTest, RateAndConcurrencyOfOneClient) {
  Limit({.rate = 0.5, .concurrency = 2}, {"node"});
  StartServer();
  EXPECT_TRUE(Call(Connect("user")).ok());
  const grpc::Status refused = Call(Connect("user"));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("user/x"));
  EXPECT_THAT(refused.error_message(), HasSubstr("try again in"));
  EXPECT_EQ(Stream(Connect("user")).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Publish(Connect("user")).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Refused("rate"), 3);
  EXPECT_TRUE(Call(Connect(authority_.Issue("user", "other"), authority_)).ok());
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Call(Connect("node")).ok()) << "not limited";
  EXPECT_TRUE(CheckHealth(Connect("user"), "x", absl::Seconds(20)).ok()) << "probes are not";
}

TEST_F(RpcSecurityTest, RefusalsSayWhenToComeBack) {
  Limit({.rate = 0.5});
  StartWith({});
  const auto channel = MakeChannel(server_->address());
  EXPECT_TRUE(Call(channel).ok());
  grpc::ClientContext context;
  v1::SummarizeResponse response;
  const grpc::Status status =
      v1::PolicyService::NewStub(channel)->Summarize(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("127.0.0.1"))
      << "without TLS a client is an address";
  const auto pushback = context.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, context.GetServerTrailingMetadata().end());
  const int wait_ms = std::stoi(std::string(pushback->second.data(), pushback->second.size()));
  EXPECT_GT(wait_ms, 0);
  EXPECT_LE(wait_ms, 2000);
}

TEST_F(RpcSecurityTest, ConcurrencyEndsWithTheCall) {
  Limit({.concurrency = 1});
  StartWith({});
  const auto channel = MakeChannel(server_->address());
  service_.Hold(true);
  auto running = std::async(std::launch::async, [&] { return Call(channel); });
  ASSERT_TRUE(WaitUntil([&] { return service_.entered() == 1; }));
  const grpc::Status refused = Call(channel);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("1 calls in progress"));
  EXPECT_EQ(Stream(channel).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Publish(channel).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Refused("concurrency"), 3);
  service_.Hold(false);
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(WaitUntil([&] { return Call(channel).ok(); }));
}

TEST_F(RpcSecurityTest, AMessageOverTheLimitIsRefused) {
  ServerOptions options;
  options.max_message_bytes = 1 << 20;
  Limit({.rate = 1000, .concurrency = 10});
  StartServer(tls::ClientAuth::kRequire, options);
  EXPECT_TRUE(Call(Connect("user"), std::string(1 << 19, 'x')).ok());
  const grpc::Status refused = Call(Connect("user"), std::string(1 << 21, 'x'));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::IsInvalidArgument(FromGrpcStatus(refused, "x"))) << "which gRPC's text tells";
}

TEST_F(RpcSecurityTest, TheHealthPortAnswersHealthAndNothingElse) {
  ServerOptions options;
  options.health_address = "127.0.0.1:0";
  StartServer(tls::ClientAuth::kRequire, options);
  ASSERT_GT(server_->health_port(), 0);
  const auto channel = MakeChannel(absl::StrCat("127.0.0.1:", server_->health_port()));
  EXPECT_TRUE(CheckHealth(channel, "x", absl::Seconds(20)).ok());
  EXPECT_EQ(Call(channel).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Reflect(channel).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  server_->SetServing(false);
  EXPECT_FALSE(CheckHealth(channel, "x", absl::Seconds(20)).ok());
}

TEST_F(RpcSecurityTest, ReflectionIsForCallersWithAnIdentityAndCanBeOff) {
  StartServer();
  EXPECT_TRUE(Reflect(Connect("node")).ok()) << Reflect(Connect("node")).error_message();
  EXPECT_EQ(Reflect(Connect(authority_.Issue({}), authority_)).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  server_.reset();
  ServerOptions options;
  options.reflection = false;
  StartServer(tls::ClientAuth::kRequire, options);
  EXPECT_EQ(Reflect(Connect("node")).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace security_test
}  // namespace mellow::rpc
