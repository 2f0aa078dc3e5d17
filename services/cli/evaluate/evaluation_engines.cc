#include "services/cli/evaluate/evaluation_engines.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/generation/generate.h"
#include "services/wire/sampling.h"

namespace mellow::cli {
namespace {

// Source and target tokens of one ScoreTokens call; a quarter of what a policy server takes.
constexpr size_t kTokensPerCall = 8192;

class ClusterArm : public ArmEngine {
 public:
  ClusterArm(ClusterCalls* calls, const eval::Arm& arm, const eval::SamplingConfig& sampling)
      : calls_(calls), sha256_(arm.sha256) {
    base_.set_adapter_version(arm.version);
    policy::v1::SamplingParams* to = base_.mutable_sampling();
    *to = wire::ToProto(sampling);
    to->clear_length_penalty();
    to->clear_early_stopping();
    to->set_seed(sampling.seed);
  }

  absl::StatusOr<std::vector<WrittenSummary>> Write(
      absl::Span<const SummaryRequest> requests) override {
    policy::v1::GenerateRequest request = base_;
    for (const SummaryRequest& from : requests) {
      policy::v1::Prompt* prompt = request.add_prompts();
      prompt->mutable_tokens()->mutable_ids()->Add(from.source_ids.begin(), from.source_ids.end());
      prompt->set_attend_to_pads(true);
      prompt->set_prompt_index(from.prompt_index);
      prompt->set_sample_index(from.sample_index);
    }
    MELLOW_ASSIGN_OR_RETURN(const policy::v1::GenerateResponse response, calls_->Generate(request));
    if (response.generations_size() != request.prompts_size())
      return absl::InternalError("the policy server sent another number of summaries");
    if (response.adapter().sha256() != sha256_)
      return absl::DataLossError(absl::StrCat("version ", base_.adapter_version(),
                                              " has become another adapter, sha256 ",
                                              response.adapter().sha256()));
    std::vector<WrittenSummary> summaries;
    for (const policy::v1::Generation& g : response.generations()) {
      summaries.push_back({g.text(),
                           {g.ids().begin(), g.ids().end()},
                           {g.logprobs().begin(), g.logprobs().end()},
                           g.finish_reason() == policy::v1::FINISH_REASON_LENGTH});
    }
    return summaries;
  }

 private:
  ClusterCalls* const calls_;
  const std::string sha256_;
  policy::v1::GenerateRequest base_;
};

class ClusterBareModel : public BaseModel {
 public:
  explicit ClusterBareModel(ClusterCalls* calls) : calls_(calls) {}

  absl::StatusOr<std::vector<std::vector<float>>> Score(
      absl::Span<const PairToScore> pairs) override {
    std::vector<std::vector<float>> logprobs;
    for (size_t next = 0; next < pairs.size();) {
      policy::v1::ScoreTokensRequest request;
      request.set_adapter_version(0);
      size_t tokens = 0;
      for (; next < pairs.size(); ++next) {
        const PairToScore& from = pairs[next];
        tokens += from.source_ids.size() + from.target_ids.size();
        if (request.pairs_size() > 0 && tokens > kTokensPerCall) break;
        common::v1::TokenPair* pair = request.add_pairs();
        pair->mutable_source_ids()->Add(from.source_ids.begin(), from.source_ids.end());
        pair->mutable_target_ids()->Add(from.target_ids.begin(), from.target_ids.end());
      }
      MELLOW_ASSIGN_OR_RETURN(const policy::v1::ScoreTokensResponse response,
                              calls_->ScoreTokens(request));
      if (response.logprobs_size() != request.pairs_size())
        return absl::InternalError("the policy server sent another number of log-probs");
      for (const common::v1::LogProbs& row : response.logprobs())
        logprobs.emplace_back(row.values().begin(), row.values().end());
    }
    return logprobs;
  }

 private:
  ClusterCalls* const calls_;
};

class LocalArm : public ArmEngine {
 public:
  LocalArm(nn::Seq2SeqModel* model, const text::Tokenizer* tokenizer,
           std::shared_ptr<const nn::PreparedAdapter> adapter, const nn::SamplingParams& params)
      : model_(model), tokenizer_(tokenizer), adapter_(std::move(adapter)), params_(params) {}

  absl::StatusOr<std::vector<WrittenSummary>> Write(
      absl::Span<const SummaryRequest> requests) override {
    std::vector<nn::GenerateItem> items;
    for (const SummaryRequest& from : requests) {
      items.push_back({{from.source_ids.begin(), from.source_ids.end()},
                       params_,
                       {from.prompt_index, from.sample_index},
                       adapter_.get()});
    }
    MELLOW_ASSIGN_OR_RETURN(std::vector<nn::GeneratedSequence> sequences,
                            nn::Generate(*model_, items));
    std::vector<WrittenSummary> summaries;
    for (nn::GeneratedSequence& s : sequences) {
      MELLOW_ASSIGN_OR_RETURN(std::string text,
                              tokenizer_->Decode(s.ids, /*skip_special_tokens=*/true));
      summaries.push_back({std::move(text), std::move(s.ids), std::move(s.logprobs),
                           s.finish == nn::FinishReason::kLength});
    }
    return summaries;
  }

 private:
  nn::Seq2SeqModel* const model_;
  const text::Tokenizer* const tokenizer_;
  const std::shared_ptr<const nn::PreparedAdapter> adapter_;
  const nn::SamplingParams params_;
};

class LocalBareModel : public BaseModel {
 public:
  explicit LocalBareModel(nn::Seq2SeqModel* model) : model_(model) {}

  absl::StatusOr<std::vector<std::vector<float>>> Score(
      absl::Span<const PairToScore> pairs) override {
    std::vector<nn::ScoreRequest> requests;
    for (const PairToScore& pair : pairs) requests.push_back({pair.source_ids, pair.target_ids});
    return model_->ScoreTokens(requests);
  }

 private:
  nn::Seq2SeqModel* const model_;
};

}  // namespace

std::unique_ptr<ArmEngine> MakeClusterArm(ClusterCalls* calls, const eval::Arm& arm,
                                          const eval::SamplingConfig& sampling) {
  return std::make_unique<ClusterArm>(calls, arm, sampling);
}

std::unique_ptr<BaseModel> MakeClusterBaseModel(ClusterCalls* calls) {
  return std::make_unique<ClusterBareModel>(calls);
}

absl::StatusOr<std::unique_ptr<ArmEngine>> MakeLocalArm(
    nn::Seq2SeqModel* model, const text::Tokenizer* tokenizer,
    std::shared_ptr<const nn::PreparedAdapter> adapter, const eval::SamplingConfig& sampling) {
  // What an evaluation has no field for is as the model says, as with a policy server.
  const nn::SamplingParams& model_says = model->config().generation.sampling;
  nn::SamplingParams params = sampling;
  params.length_penalty = model_says.length_penalty;
  params.early_stopping = model_says.early_stopping;
  params.rules = model_says.rules;
  MELLOW_RETURN_IF_ERROR(wire::CheckSampling(params, model->config().vocab_size));
  return std::make_unique<LocalArm>(model, tokenizer, std::move(adapter), params);
}

std::unique_ptr<BaseModel> MakeLocalBaseModel(nn::Seq2SeqModel* model) {
  return std::make_unique<LocalBareModel>(model);
}

}  // namespace mellow::cli
