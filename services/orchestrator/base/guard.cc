#include "services/orchestrator/base/guard.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace mellow::orchestrator {
namespace {

// A response shrinks to this part of what it was: no summary of the same dialogue does.
constexpr double kShortestPart = 0.25;
constexpr int kLargestWindow = 100;

struct Check {
  const char* name;
  const char* what;
  double value;
  double bound;
  bool below;  // the bound is the smallest value
};

// Also when the value is not finite.
bool Fails(const Check& check) {
  if (check.bound == 0) return false;
  return check.below ? !(check.value >= check.bound) : !(check.value <= check.bound);
}

}  // namespace

absl::Status GuardConfig::Validate() const {
  std::vector<std::string> wrong;
  const auto check = [&wrong](bool good, const char* field, double value, const char* rule) {
    if (!good) wrong.push_back(absl::StrCat("guard.", field, ": ", value, ": ", rule));
  };
  const auto bound = [&check](const char* field, double value) {
    check(std::isfinite(value) && value >= 0, field, value, "must be 0 (off) or more");
  };
  bound("kl_max", kl_max);
  bound("min_response_tokens", min_response_tokens.value_or(0));
  check(max_repetition >= 0 && max_repetition <= 1, "max_repetition", max_repetition,
        "must be between 0 (off) and 1");
  bound("score_drop", score_drop);
  bound("judge_gap", judge_gap);
  check(window >= 2 && window <= kLargestWindow, "window", window, "must be between 2 and 100");
  check(learning_rate_factor > 0 && learning_rate_factor <= 1, "learning_rate_factor",
        learning_rate_factor, "must be more than 0 and at most 1");
  check(max_trips >= 0 && max_trips <= 100, "max_trips", max_trips, "must be between 0 and 100");
  if (judge)
    check(judge->share > 0 && judge->share <= 1, "judge.share", judge->share,
          "must be more than 0 and at most 1");
  if (wrong.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(wrong, "; "));
}

double RepeatedNgrams(absl::Span<const int32_t> ids) {
  constexpr size_t kLength = 4;
  if (ids.size() < kLength) return 0;
  std::set<std::array<int32_t, kLength>> seen;
  const size_t all = ids.size() - kLength + 1;
  for (size_t i = 0; i < all; ++i) {
    std::array<int32_t, kLength> ngram;
    std::copy_n(ids.begin() + static_cast<ptrdiff_t>(i), kLength, ngram.begin());
    seen.insert(ngram);
  }
  return 1 - static_cast<double>(seen.size()) / static_cast<double>(all);
}

Guard::Figures Guard::WindowMean() const {
  Figures mean;
  for (double Figures::*figure :
       {&Figures::kl, &Figures::response_tokens, &Figures::repetition, &Figures::score,
        &Figures::score_sd, &Figures::judge, &Figures::judge_sd}) {
    for (const Figures& step : window_)
      mean.*figure += step.*figure / static_cast<double>(window_.size());
  }
  return mean;
}

double Guard::GapOf(const Figures& mean) const {
  // Scores that were all the same have no scale.
  if (!config_.judge || baseline_->score_sd == 0 || baseline_->judge_sd == 0) return 0;
  return (mean.score - baseline_->score) / baseline_->score_sd -
         (mean.judge - baseline_->judge) / baseline_->judge_sd;
}

std::optional<GuardFinding> Guard::Observe(const StepRecord& step) {
  last_step_ = step.step;
  const double kl = step.Stat("objective/kl");
  if (!first_kl_) first_kl_ = kl;
  const JudgeFigures judge = step.judge.value_or(JudgeFigures{});
  window_.push_back({kl, step.response_tokens_mean, step.repetition_mean, step.score_mean,
                     step.score_sd, judge.score_mean, judge.score_sd});
  if (std::cmp_greater(window_.size(), config_.window)) window_.pop_front();
  if (std::cmp_less(window_.size(), config_.window)) return std::nullopt;
  const Figures mean = WindowMean();
  if (!baseline_) baseline_ = mean;
  judge_gap_ = GapOf(mean);
  if (best_.empty() || mean.score > best_.back().second) best_.emplace_back(step.step, mean.score);
  const double drop = best_.back().second - mean.score;
  const Check checks[] = {
      {kGuardChecks[0], "the KL above that of step 1", mean.kl - *first_kl_, config_.kl_max, false},
      {kGuardChecks[1], "the length of a response, tokens,", mean.response_tokens,
       config_.min_response_tokens.value_or(kShortestPart * baseline_->response_tokens), true},
      {kGuardChecks[2], "the share of repeated 4-grams", mean.repetition, config_.max_repetition,
       false},
      {kGuardChecks[3], "the score below its best, in standard deviations,",
       baseline_->score_sd == 0 ? 0 : drop / baseline_->score_sd, config_.score_drop, false},
      {kGuardChecks[4], "the rise of the score beyond the judge's, in standard deviations,",
       judge_gap_, config_.judge_gap, false}};
  GuardFinding finding;
  std::vector<std::string> reasons;
  for (const Check& check : checks) {
    if (!Fails(check)) continue;
    if (reasons.empty()) {
      finding.check = check.name;
      finding.value = check.value;
      finding.bound = check.bound;
    }
    reasons.push_back(absl::StrFormat("guard.%s: %s is %.4g over steps %d to %d, the bound is %.4g",
                                      check.name, check.what, check.value,
                                      step.step - config_.window + 1, step.step, check.bound));
  }
  if (reasons.empty()) return std::nullopt;
  // The window's first step was sampled by the version after that.
  const int before = step.step - config_.window - 1 - lag_;
  finding.good_step = before > since_ ? before : since_good_;
  finding.reason = absl::StrCat(absl::StrJoin(reasons, "; "), "; back to ",
                                finding.good_step == 0
                                    ? "the weights that the run started from"
                                    : absl::StrCat("the weights of step ", finding.good_step));
  return finding;
}

void Guard::WentBack(int good_step) {
  since_ = last_step_;
  since_good_ = good_step;
  window_.clear();
  // What was reached by weights that are given up is nothing to be compared with.
  std::erase_if(best_, [this](const auto& best) { return best.first > since_ - config_.window; });
}

}  // namespace mellow::orchestrator
