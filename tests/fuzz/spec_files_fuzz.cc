// An evaluation file, or a file of supervised fine-tuning. What the reader accepts is checked as
// `mellow evaluate` and the learner do it, without a crash.

#include <cstdlib>
#include <string>

#include "mellow/evaluation/v1/evaluation_spec.pb.h"
#include "services/cli/evaluate/evaluation_plan.h"
#include "services/cli/files/spec_message.h"
#include "services/learner/rpc/sft_proto_convert.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string json(reinterpret_cast<const char*>(data), size);
  evaluation::v1::EvaluationSpec evaluation;
  if (cli::SpecFromJson(json, &evaluation).ok()) (void)cli::ConfigOf(evaluation);
  learner::v1::StartSftRequest sft;
  sft.set_run_id("fuzz");
  if (cli::SpecFromJson(json, sft.mutable_spec()).ok()) (void)learner::FromProto(sft);
  return 0;
}
