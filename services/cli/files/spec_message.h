#ifndef MELLOW_SERVICES_CLI_FILES_SPEC_MESSAGE_H_
#define MELLOW_SERVICES_CLI_FILES_SPEC_MESSAGE_H_

// Specs of runs: protobuf messages that people write as proto JSON and change by --set.

#include <google/protobuf/message.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace mellow::cli {

// An unknown field is InvalidArgument, with its path and the nearest name that there is.
[[nodiscard]] absl::Status SpecFromJson(const std::string& json, google::protobuf::Message* spec);

// Which fields differ ("modified: steps: 3 -> 4"); empty: none. Both of one type.
[[nodiscard]] std::string SpecDifference(const google::protobuf::Message& a,
                                         const google::protobuf::Message& b);

// A run's name as far as a folder's may be: other characters than letters, digits, - and _ become
// -, and no more than 100 stay.
[[nodiscard]] std::string FolderName(absl::string_view name);

// "ppo.learning_rate=1e-3": any field by its path, value checked against the field's type. A
// repeated field takes its values with commas between them; an empty value clears any field, as if
// the file did not have it. InvalidArgument: no such field, a value of another type, or a field
// that has fields itself (all named).
[[nodiscard]] absl::Status SetField(absl::string_view assignment, google::protobuf::Message* spec);

// A spec's field that holds a path and is not empty.
struct SpecPath {
  std::string* path;
  // The path is a model's or an adapter's: a folder, or its name on the Hub, which becomes its
  // folder in the Hub's cache.
  bool on_hub = false;
};

// Reads a file, applies the overrides and makes the paths absolute: those of the file are relative
// to the file, those of overrides to the current folder. `paths` gives the spec's. Errors name the
// file and the field; NotFound: a name of the Hub that is not in the cache.
[[nodiscard]] absl::Status LoadSpec(const std::string& path,
                                    const std::vector<std::string>& overrides,
                                    const std::function<std::vector<SpecPath>()>& paths,
                                    google::protobuf::Message* spec);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_SPEC_MESSAGE_H_
