#include "common/http/http.h"

#include <httplib.h>
#include <sys/socket.h>

#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/sync/mutex.h"
#include "common/tls/server_context.h"

namespace mellow::http {
namespace {

// A slow peer may hold a thread that long: between two reads, and between two requests.
constexpr time_t kReadSeconds = 5;
constexpr time_t kKeepAliveSeconds = 2;
constexpr size_t kRequestsPerConnection = 1000;

struct HostPort {
  std::string host;
  int port = 0;
};

absl::StatusOr<HostPort> ParseAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  HostPort out;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &out.port) || out.port < 0 || out.port > 65535)
    return absl::InvalidArgumentError(absl::StrCat("address ", address, ": expected HOST:PORT"));
  out.host = address.substr(0, colon);
  return out;
}

Headers Convert(const httplib::Headers& from) {
  Headers to;
  for (const auto& [name, value] : from) to.emplace(absl::AsciiStrToLower(name), value);
  return to;
}

void Fill(const Response& from, httplib::Response* to) {
  to->status = from.status;
  std::string type = "text/plain; charset=utf-8";
  for (const auto& [name, value] : from.headers) {
    if (name == "content-type") {
      type = value;
    } else {
      to->set_header(name, value);
    }
  }
  if (from.status != 204 || !from.body.empty()) to->set_content(from.body, type);
}

// What cpp-httplib would read without a limit, or work long on; we need none of it. 0: fine.
int Refusal(const httplib::Request& request) {
  if (request.has_header("Transfer-Encoding")) return 411;
  if (request.has_header("Content-Encoding")) return 415;
  if (absl::StartsWithIgnoreCase(request.get_header_value("Content-Type"), "multipart/"))
    return 415;
  if (request.has_header("Range")) return 416;
  return 0;
}

}  // namespace

struct Server::Impl {
  std::unique_ptr<tls::ServerContext> tls;  // null: plain; outlives `server`
  std::unique_ptr<httplib::Server> server;
  Handler handler;
  Mutex mutex;
  CondVar changed;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  bool finished ABSL_GUARDED_BY(mutex) = false;
  std::jthread listener;  // last: it uses the others

  void Answer(const httplib::Request& from, httplib::Response& to) const {
    Fill(handler({.method = from.method,
                  .path = from.path,
                  .headers = Convert(from.headers),
                  .body = from.body,
                  .remote = from.remote_addr}),
         &to);
  }

  void Listen() {
    server->listen_after_bind();  // returns when stopped and all its threads have ended
    {
      MutexLock lock(&mutex);
      finished = true;
    }
    changed.NotifyAll();
  }
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      Handler handler) {
  MELLOW_ASSIGN_OR_RETURN(HostPort at, ParseAddress(options.address));
  auto impl = std::make_unique<Impl>();
  impl->handler = std::move(handler);
  if (options.tls.has_value()) {
    impl->tls = std::make_unique<tls::ServerContext>(
        options.tls->certificates, options.tls->client_auth, options.tls->handshake_failed);
    impl->server = std::make_unique<httplib::SSLServer>(
        [raw = impl->tls.get()](SSL_CTX& context) { return raw->SetUp(&context); });
  } else {
    impl->server = std::make_unique<httplib::Server>();
  }
  httplib::Server& server = *impl->server;
  if (!server.is_valid()) return absl::ResourceExhaustedError("TLS: out of memory");
  const auto threads = static_cast<size_t>(options.threads);
  server.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
  // cpp-httplib's own choice is SO_REUSEPORT: two servers would share a port without noticing.
  server.set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  server.set_payload_max_length(options.max_body_bytes);
  server.set_read_timeout(kReadSeconds);
  server.set_write_timeout(kReadSeconds);
  server.set_keep_alive_timeout(kKeepAliveSeconds);
  server.set_keep_alive_max_count(kRequestsPerConnection);
  server.set_tcp_nodelay(true);
  httplib::Headers defaults;
  for (const auto& [name, value] : options.headers) defaults.emplace(name, value);
  server.set_default_headers(std::move(defaults));
  server.set_pre_routing_handler(
      [raw = impl.get()](const httplib::Request& request, httplib::Response& response) {
        if (const int refusal = Refusal(request); refusal != 0) {
          response.status = refusal;
          response.set_header("Connection", "close");  // its body was not read
          return httplib::Server::HandlerResponse::Handled;
        }
        if (request.method != "GET" && request.method != "HEAD")
          return httplib::Server::HandlerResponse::Unhandled;  // reads the body first
        raw->Answer(request, response);
        return httplib::Server::HandlerResponse::Handled;
      });
  const auto answer = [raw = impl.get()](const httplib::Request& request,
                                         httplib::Response& response) {
    raw->Answer(request, response);
  };
  server.Post(".*", answer);
  server.Put(".*", answer);
  // Handlers do not throw; should one (no memory), the others' requests go on.
  server.set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
        response.status = 500;
        response.set_content("internal error\n", "text/plain");
      });

  const bool any = at.port == 0;
  if (any) at.port = server.bind_to_any_port(at.host);
  if (any ? at.port <= 0 : !server.bind_to_port(at.host, at.port)) {
    return absl::UnavailableError(
        absl::StrCat("address ", options.address, ": cannot listen (is the port in use?)"));
  }
  impl->listener = std::jthread([raw = impl.get()] { raw->Listen(); });
  return std::unique_ptr<Server>(new Server(std::move(impl), absl::StrCat(at.host, ":", at.port)));
}

Server::Server(std::unique_ptr<Impl> impl, std::string address)
    : impl_(std::move(impl)), address_(std::move(address)) {}

Server::~Server() { (void)Stop(absl::InfiniteDuration()); }

bool Server::Stop(absl::Duration limit) {
  const SteadyTime deadline = SteadyTime::Now() + limit;
  MutexLock lock(&impl_->mutex);
  while (!impl_->finished) {
    // cpp-httplib forgets a stop() that comes before the listener runs, and asserts that there is
    // only one.
    if (!impl_->stopped && impl_->server->is_running()) {
      impl_->server->stop();
      impl_->stopped = true;
    }
    if (SteadyTime::Now() >= deadline) return false;
    impl_->changed.WaitUntil(&impl_->mutex,
                             std::min(deadline, SteadyTime::Now() + absl::Milliseconds(100)));
  }
  return true;
}

absl::StatusOr<Response> Call(const std::string& address, const Request& request,
                              absl::Duration timeout, const std::string& ca_file) {
  MELLOW_ASSIGN_OR_RETURN(const HostPort at, ParseAddress(address));
  httplib::Client client(
      absl::StrCat(ca_file.empty() ? "http://" : "https://", at.host, ":", at.port));
  if (!ca_file.empty()) {
    client.set_ca_cert_path(ca_file.c_str());
    client.enable_server_certificate_verification(true);
  }
  const auto micros = std::chrono::microseconds(absl::ToInt64Microseconds(timeout));
  client.set_connection_timeout(micros);
  client.set_read_timeout(micros);
  client.set_write_timeout(micros);
  httplib::Request wire;
  wire.method = request.method;
  wire.path = request.path;
  wire.body = request.body;
  for (const auto& [name, value] : request.headers) wire.headers.emplace(name, value);
  const httplib::Result result = client.send(wire);
  if (!result) {
    return absl::UnavailableError(
        absl::StrCat(address, ": no HTTP answer (", httplib::to_string(result.error()), ")"));
  }
  return Response{
      .status = result->status, .headers = Convert(result->headers), .body = result->body};
}

}  // namespace mellow::http
