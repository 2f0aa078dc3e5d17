#ifndef MELLOW_SERVICES_CLI_FILES_RUN_RECORD_H_
#define MELLOW_SERVICES_CLI_FILES_RUN_RECORD_H_

// DIR/train.json and DIR/sft.json: which run the last command of its kind started in a cluster and
// what it has shown of it, so that `--resume` goes on from there, also after the CLI was killed. It
// is written before the run is started: the id makes starting it again harmless.

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/status.h"

namespace mellow::cli {

template <typename Spec>
struct RunRecord {
  std::string request_id;  // of the run, or of the request that starts it
  Spec spec;
  int reported_step = 0;
};

struct RunRecordFields {
  std::string request_id;
  int reported_step = 0;
};
// NotFound: no such file. DataLoss: not such a record.
[[nodiscard]] absl::StatusOr<RunRecordFields> ReadRunRecordFields(const std::string& path,
                                                                  google::protobuf::Message* spec);
[[nodiscard]] absl::Status WriteRunRecordFields(const std::string& path,
                                                const RunRecordFields& fields,
                                                const google::protobuf::Message& spec);

// `path`: DIR/train.json or DIR/sft.json. Errors as above.
template <typename Spec>
[[nodiscard]] absl::StatusOr<RunRecord<Spec>> ReadRunRecord(const std::string& path) {
  RunRecord<Spec> record;
  MELLOW_ASSIGN_OR_RETURN(RunRecordFields fields, ReadRunRecordFields(path, &record.spec));
  record.request_id = std::move(fields.request_id);
  record.reported_step = fields.reported_step;
  return record;
}
template <typename Spec>
[[nodiscard]] absl::Status WriteRunRecord(const std::string& path, const RunRecord<Spec>& record) {
  return WriteRunRecordFields(path, {record.request_id, record.reported_step}, record.spec);
}

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_RUN_RECORD_H_
