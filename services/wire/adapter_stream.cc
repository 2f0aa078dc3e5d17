#include "services/wire/adapter_stream.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "services/wire/chunks.h"

namespace mellow::wire {

absl::Status SendAdapter(const common::v1::AdapterRef& ref, const adapters::PeftFiles& files,
                         const std::function<bool(const common::v1::AdapterChunk&)>& write,
                         Publication as, const std::string& fetch_from) {
  common::v1::AdapterChunk chunk;
  auto* header = chunk.mutable_header();
  *header->mutable_adapter() = ref;
  header->set_config_json(files.config_json);
  header->set_data_bytes(static_cast<int64_t>(files.safetensors.size()));
  header->set_data_sha256(Sha256Hex(files.safetensors));
  header->set_champion(as == Publication::kChampion);
  header->set_candidate(as == Publication::kCandidate);
  header->set_reference(as == Publication::kReference);
  header->set_fetch_from(fetch_from);
  if (!WriteChunks(files.safetensors, &chunk, write))
    return absl::UnavailableError(
        absl::StrCat("adapter version ", ref.version(), ": the peer closed the stream"));
  return absl::OkStatus();
}

absl::StatusOr<ReceivedAdapter> ReceiveAdapter(
    const std::function<bool(common::v1::AdapterChunk*)>& read, int64_t max_bytes) {
  common::v1::AdapterChunk chunk;
  if (!read(&chunk) || !chunk.has_header())
    return absl::InvalidArgumentError("adapter stream: the first message must be the header");
  const common::v1::AdapterChunk::Header header = chunk.header();
  if (header.data_bytes() < 0 || header.data_bytes() > max_bytes)
    return absl::InvalidArgumentError(
        absl::StrCat("header.data_bytes ", header.data_bytes(), ": between 0 and ", max_bytes));
  if (int{header.champion()} + int{header.candidate()} + int{header.reference()} > 1)
    return absl::InvalidArgumentError(
        "header: an adapter is champion, candidate or reference, not several of them");
  ReceivedAdapter received;
  received.ref = header.adapter();
  received.as = header.champion()    ? Publication::kChampion
                : header.candidate() ? Publication::kCandidate
                : header.reference() ? Publication::kReference
                                     : Publication::kNewest;
  received.fetch_from = header.fetch_from();
  received.files.config_json = header.config_json();
  std::string& data = received.files.safetensors;
  MELLOW_RETURN_IF_ERROR(ReadChunks("adapter stream", header.data_bytes(), read, &data));
  if (const std::string sha = Sha256Hex(data); sha != header.data_sha256())
    return absl::DataLossError(absl::StrCat("adapter stream: sha256 of the data is ", sha,
                                            ", announced was ", header.data_sha256()));
  return received;
}

}  // namespace mellow::wire
