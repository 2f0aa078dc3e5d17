#include "services/learner/rpc/sft_proto_convert.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/weight_type.h"
#include "services/learner/base/run_id.h"
#include "services/wire/data_spec.h"
#include "services/wire/ppo_config.h"
#include "services/wire/proto_json.h"

namespace mellow::learner {
namespace {

void ReadOptimizer(const v1::SftOptimizer& spec, sft::SftConfig* config) {
  if (spec.has_learning_rate()) config->learning_rate = spec.learning_rate();
  if (spec.has_weight_decay()) config->weight_decay = spec.weight_decay();
  if (spec.has_adam_beta1()) config->adam_beta1 = spec.adam_beta1();
  if (spec.has_adam_beta2()) config->adam_beta2 = spec.adam_beta2();
  if (spec.has_adam_epsilon()) config->adam_epsilon = spec.adam_epsilon();
  if (spec.has_max_grad_norm()) config->max_grad_norm = spec.max_grad_norm();
}

v1::SftState ToProto(SftState state) {
  switch (state) {
    case SftState::kRunning:
      return v1::SFT_STATE_RUNNING;
    case SftState::kDone:
      return v1::SFT_STATE_DONE;
    case SftState::kStopped:
      return v1::SFT_STATE_STOPPED;
    case SftState::kFailed:
      return v1::SFT_STATE_FAILED;
  }
  return v1::SFT_STATE_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<SftPlan> PlanFromProto(const v1::SftSpec& spec) {
  SftPlan plan;
  MELLOW_ASSIGN_OR_RETURN(plan.data, wire::DataFromProto(spec.data(), data::DataUse::kSft));
  plan.start_adapter = spec.start_adapter();
  if (spec.has_lora() && !plan.start_adapter.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("lora: not together with start_adapter (",
                                                   plan.start_adapter, "), which brings its own"));
  }
  wire::ReadLora(spec.lora(), &plan.trainer.lora);
  ReadOptimizer(spec.optimizer(), &plan.trainer);
  plan.trainer.seed = spec.seed();
  if (spec.has_batch_size()) plan.trainer.batch_size = spec.batch_size();
  if (spec.has_label_smoothing()) plan.trainer.label_smoothing = spec.label_smoothing();
  if (spec.has_model_dropout()) plan.trainer.model_dropout = spec.model_dropout();
  if (spec.has_gradient_accumulation_steps())
    plan.gradient_accumulation_steps = spec.gradient_accumulation_steps();
  if (spec.has_epochs()) plan.epochs = spec.epochs();
  if (spec.has_max_steps()) plan.max_steps = spec.max_steps();
  if (spec.has_eval_every()) plan.eval_every = spec.eval_every();
  if (spec.has_checkpoint_every()) plan.checkpoint_every = spec.checkpoint_every();
  if (spec.schedule().has_warmup_steps()) plan.warmup_steps = spec.schedule().warmup_steps();
  if (spec.schedule().has_warmup_ratio()) plan.warmup_ratio = spec.schedule().warmup_ratio();
  if (spec.has_precision()) {
    MELLOW_ASSIGN_OR_RETURN(plan.trainer.precision, nn::ParseTrainingPrecision(spec.precision()));
  }
  MELLOW_RETURN_IF_ERROR(plan.Validate());
  return plan;
}

absl::StatusOr<SftSettings> FromProto(const v1::StartSftRequest& request) {
  MELLOW_RETURN_IF_ERROR(CheckRunId(request.run_id()));
  SftSettings settings;
  settings.run_id = request.run_id();
  settings.spec_json = wire::ToJson(request.spec());
  MELLOW_ASSIGN_OR_RETURN(settings.plan, PlanFromProto(request.spec()));
  return settings;
}

void ToProto(const SftStatus& status, v1::SftRun* run) {
  run->set_run_id(status.run_id);
  run->set_state(ToProto(status.state));
  run->set_error(std::string(status.error.message()));
  run->set_status_code(status.error.raw_code());
  run->set_step(static_cast<int32_t>(status.step));
  run->set_total_steps(static_cast<int32_t>(status.length.total_steps));
  run->set_warmup_steps(static_cast<int32_t>(status.length.warmup_steps));
  run->set_trainable_parameters(status.trainable_parameters);
  run->set_total_parameters(status.total_parameters);
  run->set_train_pairs(static_cast<int32_t>(status.train_pairs));
  run->set_dev_pairs(static_cast<int32_t>(status.dev_pairs));
  run->set_truncated_sources(static_cast<int32_t>(status.truncated_sources));
  run->set_truncated_targets(static_cast<int32_t>(status.truncated_targets));
  if (status.best) {
    run->set_best_step(static_cast<int32_t>(status.best->step));
    run->set_best_dev_loss(*status.best->dev_loss);
  }
  run->set_adapter_path(status.result.folder);
  run->set_adapter_sha256(status.result.sha256);
}

void ToProto(const SftStepRecord& record, v1::SftStep* step) {
  step->set_step(static_cast<int32_t>(record.step));
  step->set_epoch(record.epoch);
  if (record.loss) step->set_loss(*record.loss);
  step->set_learning_rate(record.learning_rate);
  step->set_gradient_norm(record.gradient_norm);
  step->set_tokens(record.tokens);
  step->set_seconds(record.seconds);
  if (record.dev_loss) step->set_dev_loss(*record.dev_loss);
}

}  // namespace mellow::learner
