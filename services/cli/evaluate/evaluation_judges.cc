#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/nn/labels.h"
#include "common/nn/weights/finite.h"
#include "common/nn/weights/model_hash.h"
#include "common/text/classifier_input.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/evaluate/evaluation_engines.h"
#include "services/cli/models/model_loading.h"

namespace mellow::cli {
namespace {

constexpr size_t kJudgedTextsPerCall = 32;
constexpr char kDefaultLabel[] = "nothate";

using Labels = std::vector<std::string>;

struct LabelPlaces {
  size_t label = 0;
  size_t toxic = 0;
};

// Fills the two labels of `judge`.
absl::StatusOr<LabelPlaces> ChooseLabels(const Labels& labels, const std::string& label,
                                         const std::string& toxic_label, eval::Judge* judge) {
  LabelPlaces places;
  absl::StatusOr<int> toxic = nn::ToxicLabel(labels, toxic_label);
  if (!toxic.ok()) return Annotate(toxic.status(), "toxic_label");
  places.toxic = static_cast<size_t>(*toxic);
  const auto found = std::find(labels.begin(), labels.end(), label.empty() ? kDefaultLabel : label);
  if (found == labels.end() && !label.empty())
    return absl::InvalidArgumentError(
        absl::StrCat("label ", label, ": the model's labels are ", absl::StrJoin(labels, ", ")));
  places.label = found == labels.end() ? places.toxic : static_cast<size_t>(found - labels.begin());
  judge->label = labels[places.label];
  judge->toxic_label = labels[places.toxic];
  return places;
}

class ClusterJudge : public JudgeEngine {
 public:
  ClusterJudge(ClusterCalls* calls, eval::Judge judge, LabelPlaces places)
      : calls_(calls), judge_(std::move(judge)), places_(places) {}

  const eval::Judge& judge() const override { return judge_; }

  absl::StatusOr<std::vector<eval::JudgeScore>> Score(
      const std::vector<std::string>& texts) override {
    std::vector<eval::JudgeScore> scores;
    for (size_t begin = 0; begin < texts.size(); begin += kJudgedTextsPerCall) {
      reward::v1::ScoreRequest request;
      request.set_lane(reward::v1::LANE_ROLLOUT);
      for (size_t i = begin; i < std::min(begin + kJudgedTextsPerCall, texts.size()); ++i)
        request.add_texts(texts[i]);
      MELLOW_ASSIGN_OR_RETURN(const reward::v1::ScoreResponse response, calls_->Score(request));
      if (response.scores_size() != request.texts_size())
        return absl::InternalError("the reward server sent another number of scores");
      for (const reward::v1::TextScore& score : response.scores()) {
        const auto labels = static_cast<size_t>(score.logits_size());
        if (places_.label >= labels || places_.toxic >= labels ||
            score.probabilities_size() != score.logits_size())
          return absl::InternalError("the reward server sent another number of labels");
        scores.push_back({score.probabilities(static_cast<int>(places_.toxic)),
                          score.logits(static_cast<int>(places_.label)), score.truncated()});
      }
    }
    return scores;
  }

 private:
  ClusterCalls* const calls_;
  const eval::Judge judge_;
  const LabelPlaces places_;
};

class LocalJudge : public JudgeEngine {
 public:
  LocalJudge(std::unique_ptr<nn::SequenceClassifier> model,
             std::unique_ptr<text::Tokenizer> tokenizer, eval::Judge judge, LabelPlaces places)
      : model_(std::move(model)),
        tokenizer_(std::move(tokenizer)),
        judge_(std::move(judge)),
        places_(places) {}

  const eval::Judge& judge() const override { return judge_; }

  absl::StatusOr<std::vector<eval::JudgeScore>> Score(
      const std::vector<std::string>& texts) override {
    std::vector<eval::JudgeScore> scores(texts.size());
    std::vector<std::vector<int32_t>> sequences;
    for (size_t i = 0; i < texts.size(); ++i) {
      MELLOW_ASSIGN_OR_RETURN(text::ClassifierInput input,
                              text::EncodeForClassifier(*tokenizer_, texts[i], /*pair=*/"",
                                                        model_->config().max_tokens()));
      scores[i].truncated = input.truncated;
      sequences.push_back(std::move(input.ids));
    }
    for (size_t begin = 0; begin < texts.size(); begin += kJudgedTextsPerCall) {
      const auto batch = absl::MakeSpan(sequences).subspan(begin, kJudgedTextsPerCall);
      MELLOW_ASSIGN_OR_RETURN(const auto logits, model_->Classify(batch));
      MELLOW_RETURN_IF_ERROR(nn::CheckComputed(logits, "logits"));
      for (size_t i = 0; i < logits.size(); ++i) {
        scores[begin + i].toxicity =
            nn::Probabilities(logits[i], model_->config().problem_type)[places_.toxic];
        scores[begin + i].logit = logits[i][places_.label];
      }
    }
    return scores;
  }

 private:
  const std::unique_ptr<nn::SequenceClassifier> model_;
  const std::unique_ptr<text::Tokenizer> tokenizer_;
  const eval::Judge judge_;
  const LabelPlaces places_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<JudgeEngine>> MakeClusterJudge(ClusterCalls* calls,
                                                              const std::string& label,
                                                              const std::string& toxic_label) {
  MELLOW_ASSIGN_OR_RETURN(const reward::v1::GetInfoResponse info, calls->RewardInfo());
  eval::Judge judge;
  judge.model = info.capacity().model();
  MELLOW_ASSIGN_OR_RETURN(judge.sha256, calls->RewardModelHash());
  const Labels labels(info.labels().begin(), info.labels().end());
  if (labels.empty()) return absl::InternalError("the reward server has no labels");
  MELLOW_ASSIGN_OR_RETURN(
      const LabelPlaces places,
      ChooseLabels(labels, label, toxic_label.empty() ? info.toxic_label() : toxic_label, &judge));
  return std::make_unique<ClusterJudge>(calls, std::move(judge), places);
}

absl::StatusOr<std::unique_ptr<JudgeEngine>> MakeLocalJudge(const std::string& folder,
                                                            const nn::LoadOptions& load,
                                                            const std::string& label,
                                                            const std::string& toxic_label) {
  MELLOW_ASSIGN_OR_RETURN(auto model, nn::LoadSequenceClassifier(folder, load));
  PrintWarnings(model->config().warnings);
  MELLOW_ASSIGN_OR_RETURN(auto tokenizer, text::LoadTokenizer(folder));
  eval::Judge judge;
  judge.model = folder;
  MELLOW_ASSIGN_OR_RETURN(judge.sha256, nn::HashModelFolder(folder));
  const absl::StatusOr<LabelPlaces> places =
      ChooseLabels(model->config().labels, label, toxic_label, &judge);
  if (!places.ok()) return Annotate(places.status(), folder);
  return std::make_unique<LocalJudge>(std::move(model), std::move(tokenizer), std::move(judge),
                                      *places);
}

}  // namespace mellow::cli
