#ifndef MELLOW_SERVICES_WIRE_CHUNKS_H_
#define MELLOW_SERVICES_WIRE_CHUNKS_H_

// Bytes of any length as a stream of messages that are a header first and then data.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mellow::wire {

inline constexpr size_t kChunkBytes = 1 << 20;

// Writes the message, which has its header, and then the bytes. False: the peer closed the stream.
template <typename Message>
[[nodiscard]] bool WriteChunks(absl::string_view bytes, Message* message,
                               const std::function<bool(const Message&)>& write) {
  if (!write(*message)) return false;
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    message->set_data(std::string(bytes.substr(at, kChunkBytes)));
    if (!write(*message)) return false;
  }
  return true;
}

// What follows the header: as many bytes as it announced. InvalidArgument: a second header.
// DataLoss: more or fewer bytes. `stream` begins the message of an error.
template <typename Message>
[[nodiscard]] absl::Status ReadChunks(absl::string_view stream, int64_t announced,
                                      const std::function<bool(Message*)>& read,
                                      std::string* bytes) {
  Message message;
  while (read(&message)) {
    if (message.has_header())
      return absl::InvalidArgumentError(absl::StrCat(stream, ": a second header"));
    if (static_cast<int64_t>(bytes->size() + message.data().size()) > announced)
      return absl::DataLossError(
          absl::StrCat(stream, ": more than the announced ", announced, " bytes"));
    bytes->append(message.data());
  }
  if (static_cast<int64_t>(bytes->size()) != announced)
    return absl::DataLossError(
        absl::StrCat(stream, ": ", bytes->size(), " of ", announced, " bytes came"));
  return absl::OkStatus();
}

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_CHUNKS_H_
