#include "services/orchestrator/run_methods.h"

#include <utility>

#include "common/base/status.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/orchestrator/run/ppo_method.h"
#include "services/orchestrator/run/sft_method.h"

namespace mellow::orchestrator {

absl::StatusOr<std::unique_ptr<RunMethod>> MethodOfRun(const DriverParts& parts,
                                                       const std::string& spec) {
  v1::RunSpec run;
  if (!run.ParseFromString(spec)) return absl::DataLossError("ledger: a run without its spec");
  switch (run.method_case()) {
    case v1::RunSpec::kSft: {
      MELLOW_ASSIGN_OR_RETURN(std::string sft, SftSpecFromProto(run));
      return MakeSftMethod(parts, std::move(sft));
    }
    case v1::RunSpec::kPpo:
    case v1::RunSpec::METHOD_NOT_SET:
      break;
  }
  MELLOW_ASSIGN_OR_RETURN(const RunConfig config, RunConfigFromProto(run));
  return MakePpoMethod(parts, config);
}

}  // namespace mellow::orchestrator
