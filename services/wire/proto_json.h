#ifndef MELLOW_SERVICES_WIRE_PROTO_JSON_H_
#define MELLOW_SERVICES_WIRE_PROTO_JSON_H_

#include <google/protobuf/message.h>

#include <string>

namespace mellow::wire {

// Proto JSON on one line, with the field names of the .proto file.
[[nodiscard]] std::string ToJson(const google::protobuf::Message& message);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_PROTO_JSON_H_
