#ifndef MELLOW_SERVICES_WIRE_ADAPTER_STREAM_H_
#define MELLOW_SERVICES_WIRE_ADAPTER_STREAM_H_

// An adapter as a stream of AdapterChunk messages: the policy receives it, the learner sends it,
// the orchestrator does both.

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/adapters/peft.h"
#include "mellow/common/v1/common.pb.h"
#include "services/wire/publication.h"

namespace mellow::wire {

// Larger adapters (r = 512 on every layer of a large model) do not occur; the limit keeps a bad
// header from reserving the memory.
inline constexpr int64_t kMaxAdapterBytes = int64_t{1} << 30;

// No message of the stream is larger: the header has the adapter's configuration, the others 1 MiB
// of data.
inline constexpr int64_t kMaxAdapterMessageBytes = (1 << 20) + (256 << 10);

struct ReceivedAdapter {
  common::v1::AdapterRef ref;
  Publication as = Publication::kNewest;
  // The address of a policy node that has the adapter; then `files` are empty.
  std::string fetch_from;
  adapters::PeftFiles files;
};

// Calls `write` with the header and then the data; false from `write` ends it with Unavailable (the
// peer is gone). `fetch_from` stands for the files, which are empty.
[[nodiscard]] absl::Status SendAdapter(
    const common::v1::AdapterRef& ref, const adapters::PeftFiles& files,
    const std::function<bool(const common::v1::AdapterChunk&)>& write,
    Publication as = Publication::kNewest, const std::string& fetch_from = "");

// Reads until `read` says false. InvalidArgument: no header, one that is several of champion,
// candidate and reference, data before it, a second one, a size that is negative or over
// `max_bytes`. DataLoss: fewer or more bytes than announced, or a wrong checksum.
[[nodiscard]] absl::StatusOr<ReceivedAdapter> ReceiveAdapter(
    const std::function<bool(common::v1::AdapterChunk*)>& read, int64_t max_bytes);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_ADAPTER_STREAM_H_
