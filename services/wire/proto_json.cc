#include "services/wire/proto_json.h"

#include <google/protobuf/util/json_util.h>

namespace mellow::wire {

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails only for messages that hold an Any, or a time out of range, which none of ours does.
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

}  // namespace mellow::wire
