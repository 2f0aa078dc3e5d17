#include "services/wire/ppo_config.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::wire {

void ReadLora(const learner::v1::LoraSpec& message, nn::LoraConfig* lora) {
  if (message.has_r()) lora->r = message.r();
  if (message.has_lora_alpha()) lora->lora_alpha = message.lora_alpha();
  if (message.has_lora_dropout()) lora->lora_dropout = message.lora_dropout();
  if (message.has_use_rslora()) lora->use_rslora = message.use_rslora();
  if (!message.target_modules().empty())
    lora->target_modules.assign(message.target_modules().begin(), message.target_modules().end());
}

absl::StatusOr<rl::PpoConfig> PpoConfigFromProto(const learner::v1::PpoConfig& message) {
  rl::PpoConfig config;
  if (message.has_seed()) config.seed = message.seed();
  if (message.has_learning_rate()) config.learning_rate = message.learning_rate();
  if (message.has_adap_kl_ctrl()) config.adap_kl_ctrl = message.adap_kl_ctrl();
  if (message.has_init_kl_coef()) config.init_kl_coef = message.init_kl_coef();
  if (message.has_target()) config.target = message.target();
  if (message.has_horizon()) config.horizon = message.horizon();
  if (message.has_gamma()) config.gamma = message.gamma();
  if (message.has_lam()) config.lam = message.lam();
  if (message.has_cliprange()) config.cliprange = message.cliprange();
  if (message.has_cliprange_value()) config.cliprange_value = message.cliprange_value();
  if (message.has_vf_coef()) config.vf_coef = message.vf_coef();
  if (message.has_batch_size()) config.batch_size = message.batch_size();
  if (message.has_mini_batch_size()) config.mini_batch_size = message.mini_batch_size();
  if (message.has_gradient_accumulation_steps())
    config.gradient_accumulation_steps = message.gradient_accumulation_steps();
  if (message.has_ppo_epochs()) config.ppo_epochs = message.ppo_epochs();
  if (message.has_max_grad_norm()) config.max_grad_norm = message.max_grad_norm();
  if (message.has_early_stopping()) config.early_stopping = message.early_stopping();
  if (message.has_target_kl()) config.target_kl = message.target_kl();
  if (message.has_ratio_threshold()) config.ratio_threshold = message.ratio_threshold();
  if (message.has_whiten_rewards()) config.whiten_rewards = message.whiten_rewards();
  if (message.has_use_score_scaling()) config.use_score_scaling = message.use_score_scaling();
  if (message.has_use_score_norm()) config.use_score_norm = message.use_score_norm();
  if (message.has_score_clip()) config.score_clip = message.score_clip();
  if (message.has_missing_eos_penalty()) config.missing_eos_penalty = message.missing_eos_penalty();
  if (message.has_max_importance_weight())
    config.max_importance_weight = message.max_importance_weight();
  if (message.has_trl_compat()) config.trl_compat = message.trl_compat();
  if (message.has_value_head_file()) config.value_head_file = message.value_head_file();
  if (message.has_kl_penalty()) {
    MELLOW_ASSIGN_OR_RETURN(config.kl_penalty, rl::ParseKlPenalty(message.kl_penalty()));
  }
  if (message.has_reference()) {
    MELLOW_ASSIGN_OR_RETURN(config.reference, rl::ParseReference(message.reference()));
  }
  if (message.has_precision()) {
    MELLOW_ASSIGN_OR_RETURN(config.precision, nn::ParseTrainingPrecision(message.precision()));
  }
  if (message.has_lora()) {
    config.lora = nn::LoraConfig{.r = 8, .lora_alpha = 8, .target_modules = {"q", "v"}};
    ReadLora(message.lora(), &*config.lora);
  }
  MELLOW_RETURN_IF_ERROR(config.Validate());
  return config;
}

absl::StatusOr<rl::PpoConfig> PpoConfigFromJson(const std::string& text) {
  learner::v1::PpoConfig message;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &message);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the PPO configuration: ", std::string(status.message())));
  }
  return PpoConfigFromProto(message);
}

}  // namespace mellow::wire
