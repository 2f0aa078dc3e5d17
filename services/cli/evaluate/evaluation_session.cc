#include "services/cli/evaluate/evaluation_session.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/weights/model_hash.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/evaluate/evaluation_arms.h"
#include "services/cli/evaluate/judged_text.h"
#include "services/cli/files/evaluation_file.h"
#include "services/cli/models/model_loading.h"

namespace mellow::cli {
namespace {

using evaluation::v1::EvaluationSpec;

// How long a call is repeated while no server takes it.
constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr char kRewardJudge[] = "reward";

absl::StatusOr<ClusterAdapters> AskCluster(const std::string& folder, ClusterCalls* calls) {
  ClusterAdapters cluster;
  cluster.folder = folder;
  MELLOW_ASSIGN_OR_RETURN(const policy::v1::ListAdaptersResponse list, calls->ListAdapters());
  cluster.adapters.assign(list.adapters().begin(), list.adapters().end());
  if (list.has_champion()) cluster.champion = list.champion().version();
  MELLOW_ASSIGN_OR_RETURN(const policy::v1::GetInfoResponse info, calls->PolicyInfo());
  cluster.newest = info.newest().version();
  MELLOW_RETURN_IF_ERROR(ServicesOfRole(folder, "orchestrator").status());
  // Only tells where adapters come from, and which others are kept: an orchestrator without a run,
  // or one that restarts, is no reason to stop.
  absl::StatusOr<KeptAdapters> kept = calls->AskKept();
  if (!kept.ok()) return cluster;
  for (const orchestrator::v1::Run& run : kept->runs) {
    // A supervised run publishes nothing, and one that never got to a step hides none that did.
    if (run.spec().has_sft()) continue;
    if (!cluster.newest_run || (!HasSteps(*cluster.newest_run) && HasSteps(run)))
      cluster.newest_run = run;
  }
  cluster.kept = *std::move(kept);
  return cluster;
}

absl::Status CheckFolder(absl::string_view field, const std::string& folder) {
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(field, ": ", folder, ": no such folder"));
}

// The policy's model folder on this machine.
absl::StatusOr<std::string> PolicyFolder(const EvaluationSpec& spec, ClusterCalls* calls) {
  if (!spec.policy_model().empty()) {
    MELLOW_RETURN_IF_ERROR(CheckFolder("policy_model", spec.policy_model()));
    return spec.policy_model();
  }
  MELLOW_ASSIGN_OR_RETURN(const policy::v1::GetInfoResponse info, calls->PolicyInfo());
  std::string folder = info.capacity().model();
  if (CheckFolder("", folder).ok()) return folder;
  return absl::FailedPreconditionError(
      absl::StrCat("policy_model: the cluster serves ", folder,
                   ", which is no folder on this machine; name a copy, its tokenizer is needed"));
}

// The same files, wherever they lie.
bool SameClassifier(const eval::Judge& a, const eval::Judge& b) {
  if (a.sha256.empty() || b.sha256.empty()) return a.model == b.model;
  return a.sha256 == b.sha256;
}

// The longest prompt that a node takes with this sampling. 0, no limit, where it takes none: what
// is wrong with the sampling is the node's to say.
int NodeTokens(const policy::v1::GetInfoResponse& info, const eval::SamplingConfig& sampling) {
  const int64_t room = info.capacity().max_batch_tokens() -
                       int64_t{sampling.max_new_tokens} * std::max(sampling.num_beams, 1);
  if (room < 1) return 0;
  return static_cast<int>(std::min<int64_t>(room, std::max(info.max_source_tokens(), 1)));
}

class Opener {
 public:
  Opener(const EvaluationSpec& spec, std::string folder, const nn::LoadOptions& load)
      : spec_(spec),
        folder_(std::move(folder)),
        load_(load),
        session_(std::make_unique<EvaluationSession>()) {}

  absl::StatusOr<std::unique_ptr<EvaluationSession>> Open() {
    eval::EvaluationConfig& config = session_->evaluation.config;
    MELLOW_ASSIGN_OR_RETURN(config, ConfigOf(spec_));
    if (NeedsCluster(spec_)) {
      MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> policies,
                              ServicesOfRole(folder_, "policy"));
      session_->calls = std::make_unique<ClusterCalls>(folder_, kPatience);
      session_->engines.threads = 2 * static_cast<int>(policies.size());
    }
    MELLOW_ASSIGN_OR_RETURN(config.policy_model, PolicyFolder(spec_, session_->calls.get()));
    absl::StatusOr<std::unique_ptr<text::Tokenizer>> tokenizer =
        text::LoadTokenizer(config.policy_model);
    if (!tokenizer.ok()) return Annotate(tokenizer.status(), "policy_model");
    session_->tokenizer = *std::move(tokenizer);
    MELLOW_ASSIGN_OR_RETURN(config.policy_model_sha256, PolicyHash(config.policy_model));
    int node_tokens = 0;
    if (session_->calls != nullptr) {
      MELLOW_ASSIGN_OR_RETURN(const policy::v1::GetInfoResponse info,
                              session_->calls->PolicyInfo());
      node_tokens = NodeTokens(info, config.sampling);
    }
    MELLOW_ASSIGN_OR_RETURN(session_->prompts, ReadEvaluationPrompts(spec_, *session_->tokenizer,
                                                                     node_tokens, &config));
    MELLOW_RETURN_IF_ERROR(OpenArms());
    MELLOW_RETURN_IF_ERROR(OpenJudges());
    config.sha256 = eval::ConfigHash(session_->evaluation);
    return std::move(session_);
  }

 private:
  // The policy model's, which must be the same in the folder and in the cluster.
  absl::StatusOr<std::string> PolicyHash(const std::string& folder) const {
    absl::StatusOr<std::string> own = nn::HashModelFolder(folder);
    if (!own.ok()) own = Annotate(own.status(), "policy_model");
    if (session_->calls == nullptr) return own;
    MELLOW_ASSIGN_OR_RETURN(std::string served, session_->calls->PolicyModelHash());
    // Where no arm runs in this process a copy of the tokenizer will do.
    if (absl::IsNotFound(own.status())) return served;
    MELLOW_RETURN_IF_ERROR(own.status());
    if (served.empty() || served == *own) return own;
    return absl::FailedPreconditionError(
        absl::StrCat("policy_model: ", folder, " (sha256 ", *own,
                     ") is not the model that the cluster serves (sha256 ", served, ")"));
  }

  absl::Status OpenArms() {
    std::optional<ClusterAdapters> cluster;
    if (session_->calls != nullptr) {
      MELLOW_ASSIGN_OR_RETURN(cluster, AskCluster(folder_, session_->calls.get()));
    }
    const std::vector<std::string> names(spec_.arms().begin(), spec_.arms().end());
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ResolvedArm> arms,
                            ResolveArms(names, cluster.has_value() ? &*cluster : nullptr));
    const bool local = session_->calls == nullptr ||
                       std::any_of(arms.begin(), arms.end(),
                                   [](const ResolvedArm& arm) { return arm.lora.has_value(); });
    if (local) {
      absl::StatusOr<std::unique_ptr<nn::Seq2SeqModel>> model =
          nn::LoadSeq2SeqModel(session_->evaluation.config.policy_model, load_);
      if (!model.ok()) return Annotate(model.status(), "policy_model");
      session_->model = *std::move(model);
      PrintWarnings(session_->model->config().warnings);
    }
    for (const ResolvedArm& arm : arms) {
      session_->evaluation.arms.push_back(arm.arm);
      MELLOW_ASSIGN_OR_RETURN(session_->engines.arms.emplace_back(), MakeArm(arm));
    }
    session_->engines.bare = session_->calls != nullptr
                                 ? MakeClusterBaseModel(session_->calls.get())
                                 : MakeLocalBaseModel(session_->model.get());
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<ArmEngine>> MakeArm(const ResolvedArm& arm) {
    const eval::SamplingConfig& sampling = session_->evaluation.config.sampling;
    if (session_->calls != nullptr && !arm.lora.has_value())
      return MakeClusterArm(session_->calls.get(), arm.arm, sampling);
    std::shared_ptr<const nn::PreparedAdapter> adapter;
    if (arm.lora.has_value()) {
      auto prepared = session_->model->Prepare(*arm.lora);
      if (!prepared.ok()) return Annotate(prepared.status(), absl::StrCat("arms: ", arm.arm.path));
      adapter = *std::move(prepared);
    }
    return MakeLocalArm(session_->model.get(), session_->tokenizer.get(), std::move(adapter),
                        sampling);
  }

  absl::Status OpenJudges() {
    const evaluation::v1::RewardJudge& reward = spec_.reward();
    absl::StatusOr<std::unique_ptr<JudgeEngine>> engine =
        reward.model().empty()
            ? MakeClusterJudge(session_->calls.get(), reward.label(), reward.toxic_label())
            : OpenFolder("reward.model", reward.model(), reward.label(), reward.toxic_label());
    if (!engine.ok()) return Annotate(engine.status(), "reward");
    MELLOW_RETURN_IF_ERROR(Annotate(
        AddJudge(kRewardJudge, reward, /*independent=*/false, *std::move(engine)), "reward"));
    for (int j = 0; j < spec_.judges_size(); ++j) {
      const evaluation::v1::Judge& judge = spec_.judges(j);
      const std::string field = absl::StrCat("judges[", j, "]");
      MELLOW_RETURN_IF_ERROR(Annotate(OpenJudge(judge), field));
    }
    return absl::OkStatus();
  }

  absl::Status OpenJudge(const evaluation::v1::Judge& judge) {
    const std::string name = judge.name().empty()
                                 ? std::filesystem::path(judge.model()).filename().string()
                                 : judge.name();
    if (name.empty()) return absl::InvalidArgumentError("name: is empty");
    for (const eval::Judge& other : session_->evaluation.judges) {
      if (other.name == name)
        return absl::InvalidArgumentError(absl::StrCat("name: two judges are named ", name));
    }
    MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<JudgeEngine> engine,
                            OpenFolder("model", judge.model(), judge.label(), judge.toxic_label()));
    for (const eval::Judge& other : session_->evaluation.judges) {
      if (SameClassifier(engine->judge(), other))
        return absl::InvalidArgumentError(absl::StrCat("model: ", judge.model(), " is the judge ",
                                                       other.name, " already (", other.model,
                                                       "): it would not be independent"));
    }
    return AddJudge(name, judge, /*independent=*/true, std::move(engine));
  }

  absl::StatusOr<std::unique_ptr<JudgeEngine>> OpenFolder(const char* field,
                                                          const std::string& folder,
                                                          const std::string& label,
                                                          const std::string& toxic_label) {
    MELLOW_RETURN_IF_ERROR(CheckFolder(field, folder));
    return MakeLocalJudge(folder, load_, label, toxic_label);
  }

  // `spec`: RewardJudge or Judge.
  template <typename Spec>
  absl::Status AddJudge(const std::string& name, const Spec& spec, bool independent,
                        std::unique_ptr<JudgeEngine> engine) {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                            ScoringsFor(spec.text_template(), spec.keep_query_special_tokens()));
    eval::Evaluation& e = session_->evaluation;
    e.judges.push_back(engine->judge());
    e.judges.back().name = name;
    e.judges.back().independent = independent;
    for (const std::string& text : texts) e.scorings.push_back({name, text});
    session_->engines.judges.push_back(std::move(engine));
    return absl::OkStatus();
  }

  const EvaluationSpec& spec_;
  const std::string folder_;
  const nn::LoadOptions load_;
  std::unique_ptr<EvaluationSession> session_;
};

}  // namespace

bool NeedsCluster(const EvaluationSpec& spec) {
  return spec.policy_model().empty() || spec.reward().model().empty();
}

absl::StatusOr<std::unique_ptr<EvaluationSession>> OpenEvaluation(const EvaluationSpec& spec,
                                                                  const std::string& folder,
                                                                  const nn::LoadOptions& load) {
  return Opener(spec, folder, load).Open();
}

}  // namespace mellow::cli
