#ifndef MELLOW_COMMON_HTTP_HTTP_H_
#define MELLOW_COMMON_HTTP_HTTP_H_

// HTTP/1.1, plain or over TLS, behind a small interface, so that only http.cc knows cpp-httplib.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/tls/certificates.h"

namespace mellow::http {

using Headers = std::map<std::string, std::string>;  // names in lower case

struct Request {
  std::string method;  // "GET", "POST", "PUT"
  std::string path;    // without the query
  Headers headers;     // of several with one name: the first
  std::string body;
  std::string remote;  // the peer's address
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

// Called from several threads at once.
using Handler = std::function<Response(const Request&)>;

struct TlsOptions {
  std::shared_ptr<tls::FollowedCertificates> certificates;
  tls::ClientAuth client_auth = tls::ClientAuth::kRequire;
  // Called from the server's threads for every connection whose handshake fails; may be null.
  std::function<void()> handshake_failed;
};

struct ServerOptions {
  std::string address = "127.0.0.1:0";  // HOST:PORT; port 0 picks a free one
  int threads = 32;                     // connections served at once; others wait
  size_t max_body_bytes = size_t{64} << 10;
  Headers headers;                // of every response, the server's own errors included
  std::optional<TlsOptions> tls;  // absent: plain
};

// Serves until it is destroyed. GET, HEAD, POST and PUT reach the handler; what is malformed, too
// large, compressed, chunked or in parts is refused before.
class Server {
 public:
  // Unavailable: cannot listen there (named). InvalidArgument: the address is not HOST:PORT.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                                     Handler handler);
  // Waits for what is in flight.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // With the port that was picked.
  const std::string& address() const { return address_; }
  // No new connections; false when some are still served after `limit`.
  [[nodiscard]] bool Stop(absl::Duration limit);

 private:
  struct Impl;
  Server(std::unique_ptr<Impl> impl, std::string address);
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

// Sends one request to HOST:PORT; `timeout` is for connecting and again for each read. With
// `ca_file` (PEM) over TLS, to a server with a certificate of that CA for that host. Unavailable:
// no HTTP answer came.
[[nodiscard]] absl::StatusOr<Response> Call(const std::string& address, const Request& request,
                                            absl::Duration timeout,
                                            const std::string& ca_file = "");

}  // namespace mellow::http

#endif  // MELLOW_COMMON_HTTP_HTTP_H_
