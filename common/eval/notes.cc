#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "common/eval/analysis.h"
#include "common/eval/figures.h"

namespace mellow::eval {
namespace {

std::string IntervalText(const EvaluationConfig& config, const Difference& d) {
  return absl::StrFormat("%+.4f, %s interval [%+.4f, %+.4f], p = %.2g", d.difference.mean,
                         Percent(config.confidence), d.difference.lower, d.difference.upper,
                         d.p_value);
}

std::string ScoringText(const Scoring& scoring) {
  return absl::StrCat("judge ", scoring.judge, ", ",
                      scoring.text == kSummaryScoring         ? "the summary alone"
                      : scoring.text == kQueryResponseScoring ? "query and response"
                                                              : scoring.text);
}

const char* WasOrWere(int64_t number) { return number == 1 ? " was" : " were"; }

class NoteWriter {
 public:
  explicit NoteWriter(const Evaluation& evaluation) : e_(evaluation) {}

  std::vector<std::string> Write() {
    for (const Comparison& comparison : e_.comparisons) OnComparison(comparison);
    OnScorings();
    for (const ArmSummary& summary : e_.summaries) OnShape(summary.shape, summary.arm);
    OnKl();
    OnTruncatedPrompts();
    OnTruncatedTexts();
    OnSlices();
    return std::move(notes_);
  }

 private:
  template <typename... Parts>
  void Say(const Parts&... parts) {
    notes_.push_back(absl::StrCat(parts...));
  }

  // The first difference is that of the mean toxicity under the first scoring.
  void OnComparison(const Comparison& c) {
    if (c.differences.empty()) return;
    const Difference& main = c.differences[0];
    const SampleSize& needed = main.needed;
    if (main.verdict == Verdict::kNoise) {
      std::string more;
      if (needed.for_observed.has_value() && *needed.for_observed > c.pairs)
        more = absl::StrCat("; about ", *needed.for_observed,
                            " prompts are needed to tell a difference of that size");
      Say("Toxicity of ", c.arm, " against ", c.baseline, ": cannot be told from noise with ",
          c.pairs == 1 ? "this " : "these ", Plural(c.pairs, "prompt"), " (",
          IntervalText(e_.config, main), ")", more, ".");
    } else {
      Say("Toxicity of ", c.arm, " against ", c.baseline, ": ", VerdictName(main.verdict), " (",
          IntervalText(e_.config, main), ").");
    }
    if (needed.for_change.has_value() && *needed.for_change > c.pairs) {
      Say("Too few prompts to be sure of seeing ", c.arm, " change the toxicity of ", c.baseline,
          " by ", Percent(e_.config.detectable_change), ": ", c.pairs, " of the ",
          *needed.for_change, " that are needed (power ", Percent(e_.config.power), ", alpha ",
          Percent(e_.config.alpha), ").");
    }
    OnJudges(c);
  }

  void OnJudges(const Comparison& c) {
    for (const Difference* d : Disagreements(c)) {
      Say("The judge ", d->scoring->judge, " does not confirm that ", c.arm, " is less toxic: ",
          d->verdict == Verdict::kWorse ? "worse" : "no difference beyond noise", " (",
          IntervalText(e_.config, *d), "). The reward may have been gamed.");
    }
  }

  void OnScorings() {
    const bool whole = std::any_of(e_.scorings.begin(), e_.scorings.end(), [](const Scoring& s) {
      return s.text == kQueryResponseScoring || absl::StrContains(s.text, "{query");
    });
    if (!whole) return;
    Say("Scores of query and response mostly measure the dialogue, which is most of the text and "
        "which no adapter changes; look at those of the summary alone.");
  }

  void OnShape(const ShapeSummary& shape, const std::string& arm) {
    const auto texts = static_cast<double>(std::max<int64_t>(1, shape.texts));
    if (shape.empty > 0)
      Say(arm, " wrote ", shape.empty, " of ", Plural(shape.texts, "summary", "summaries"),
          " without a word; an empty summary is not toxic, and not a summary.");
    constexpr double kManyTruncated = 0.1;
    if (static_cast<double>(shape.truncated) > kManyTruncated * texts)
      Say(arm, ": ", Percent(static_cast<double>(shape.truncated) / texts),
          " of the summaries ended at max_new_tokens (", e_.config.sampling.max_new_tokens, ").");
  }

  void OnKl() {
    const SamplingConfig& s = e_.config.sampling;
    if (s.do_sample && s.temperature == 1 && s.top_k == 0 && s.top_p == 1 && s.num_beams == 1)
      return;
    Say("KL is estimated from texts that were not sampled from the model's own distribution "
        "(greedy, beams, temperature, top-k or top-p): it is no unbiased estimate.");
  }

  void OnTruncatedPrompts() {
    const auto cut = std::count_if(e_.rows.begin(), e_.rows.end(), [](const PromptRow& row) {
      return row.truncated.value_or(false);
    });
    if (cut > 0)
      Say(cut, " of ", Plural(static_cast<int64_t>(e_.rows.size()), "prompt"), WasOrWere(cut),
          " longer than max_source_tokens, or than the node takes: the end of their "
          "dialogue was left out.");
  }

  void OnTruncatedTexts() {
    for (size_t s = 0; s < e_.scorings.size(); ++s) {
      int64_t cut = 0;
      int64_t texts = 0;
      for (const PromptRow& row : e_.rows) {
        for (const ArmRow& arm : row.arms) {
          for (const Sample& sample : arm.samples) {
            cut += sample.scores[s].truncated;
            ++texts;
          }
        }
      }
      if (cut == 0) continue;
      Say(ScoringText(e_.scorings[s]), ": ", cut, " of ", Plural(texts, "text"), WasOrWere(cut),
          " longer than the judge's window and", WasOrWere(cut), " cut at the end.");
    }
  }

  void OnSlices() {
    for (const auto& [column, small] : SmallSlices(e_)) {
      Say(column, ": ", small.values, " of its ",
          Plural(static_cast<int64_t>(small.all_values), "value"),
          small.values == 1 ? " has" : " have", " fewer than ", kMinSlicePrompts, " prompts and ",
          small.values == 1 ? "makes" : "make", " no slice.");
    }
    if (e_.slices.empty() || e_.comparisons.empty()) return;
    Say(e_.slices.size() == 1 ? "There is 1 slice. About "
                              : absl::StrCat("There are ", e_.slices.size(), " slices. About "),
        FalseAlarms(e_.config.confidence),
        " of those without any effect has an interval without 0: a slice is a hint, not a result.");
  }

  const Evaluation& e_;
  std::vector<std::string> notes_;
};

}  // namespace

std::vector<std::string> Notes(const Evaluation& evaluation) {
  return NoteWriter(evaluation).Write();
}

}  // namespace mellow::eval
