// mellow_review_server: the page on which people rate summaries blind.

#include "common/base/status.h"
#include "common/http/http.h"
#include "common/obs/log.h"
#include "services/review/review_options.h"
#include "services/review/study_when_ready.h"
#include "services/wire/metrics_server.h"
#include "services/wire/tls_flags.h"

namespace mellow::review {
namespace {

absl::Status Serve(const ReviewOptions& options) {
  MELLOW_RETURN_IF_ERROR(options.Validate());
  obs::Metrics metrics;
  StudyWhenReady study(options.study, {.requests_per_second = options.requests_per_second},
                       &metrics);
  const absl::Status open = study.Open().status();
  if (!open.ok() && !(options.wait_for_study && absl::IsNotFound(open))) return open;
  MELLOW_ASSIGN_OR_RETURN(const auto certificates, wire::StartCertificates(options.process.tls));
  MELLOW_ASSIGN_OR_RETURN(const auto metrics_server,
                          wire::StartMetricsServer(options.process, certificates, &metrics));
  http::ServerOptions page = {.address = options.process.address,
                              .max_body_bytes = kMaxBodyBytes,
                              .headers = SecurityHeaders()};
  // People come with links, not with certificates.
  if (certificates != nullptr)
    page.tls = {certificates, tls::ClientAuth::kNone,
                wire::HandshakeFailureCounter(&metrics, "page")};
  MELLOW_ASSIGN_OR_RETURN(auto server,
                          http::Server::Start(page, [&study](const http::Request& request) {
                            return study.Handle(request);
                          }));
  wire::WaitToDrain(options.process, server->address(), metrics_server->address());
  if (!server->Stop(absl::Seconds(options.process.drain_seconds)))
    obs::Log(obs::Severity::kWarning, "some requests were still in progress");
  obs::Log(obs::Severity::kInfo, "stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace mellow::review

int main(int argc, char** argv) {
  mellow::review::ReviewOptions options;
  return mellow::wire::RunServer(
      argc, argv, "Mellow review server: people rate summaries blind.", "mellow_review_server",
      [&](CLI::App* app) { mellow::review::AddReviewFlags(app, &options); }, options.process,
      [&] { return mellow::review::Serve(options); });
}
