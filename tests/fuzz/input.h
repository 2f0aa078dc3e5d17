#ifndef MELLOW_TESTS_FUZZ_INPUT_H_
#define MELLOW_TESTS_FUZZ_INPUT_H_

// An input that is one of several things, and what must hold of it.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow {

// Ends the process, which libFuzzer reports with the input.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// What the first byte of an input says of the others.
struct Chosen {
  int kind = 0;        // '0' says 0, '1' says 1, ...; behind the last kind it begins again
  bool again = false;  // it has begun again an odd number of times
  std::string bytes;   // the others
};
inline Chosen Choose(const uint8_t* data, size_t size, int kinds) {
  if (size == 0) return {};
  const int number = static_cast<uint8_t>(data[0] - '0');
  return {number % kinds, number / kinds % 2 == 1,
          std::string(reinterpret_cast<const char*>(data) + 1, size - 1)};
}

// A stream of protobuf messages: each behind its length of two bytes, the low one first. It ends
// with what is no message.
template <typename Message>
std::vector<Message> ReadMessages(absl::string_view bytes) {
  std::vector<Message> messages;
  while (bytes.size() >= 2) {
    const size_t length = static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1]) << 8;
    bytes.remove_prefix(2);
    Message message;
    const absl::string_view part = bytes.substr(0, length);
    if (!message.ParseFromArray(part.data(), static_cast<int>(part.size()))) break;
    messages.push_back(std::move(message));
    bytes.remove_prefix(part.size());
  }
  return messages;
}

// The messages, one a call; false behind the last.
template <typename Message>
std::function<bool(Message*)> ReaderOf(std::vector<Message> messages) {
  return [messages = std::move(messages), next = size_t{0}](Message* message) mutable {
    if (next == messages.size()) return false;
    *message = messages[next++];
    return true;
  };
}

// The data of the messages behind the header, which comes first.
template <typename Message>
std::string DataOf(const std::vector<Message>& messages) {
  std::string data;
  for (size_t i = 1; i < messages.size(); ++i) data += messages[i].data();
  return data;
}

// In place of what is there.
inline void PutFile(const std::string& path, absl::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace mellow

#endif  // MELLOW_TESTS_FUZZ_INPUT_H_
