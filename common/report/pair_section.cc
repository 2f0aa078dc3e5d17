// The first dialogues with what each arm made of them, toxic words marked.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "common/report/numbers.h"
#include "common/report/sections.h"
#include "common/report/words.h"

namespace mellow::report {
namespace {

// The words of a text cut into marked and plain pieces.
std::vector<Segment> Segments(const std::string& text, const TextEvidence* evidence) {
  std::vector<Segment> segments;
  size_t done = 0;
  if (evidence != nullptr) {
    for (const Span& word : evidence->spans) {
      const int mark = MarkOf(*evidence, word);
      if (mark == 0) continue;
      if (word.begin > done) segments.push_back({.text = text.substr(done, word.begin - done)});
      segments.push_back(
          {.text = text.substr(word.begin, word.end - word.begin),
           .mark = mark,
           .hint = absl::StrFormat("without these words P(toxic) is %.3f instead of %.3f",
                                   word.toxicity_without, evidence->toxicity)});
      done = word.end;
    }
  }
  if (done < text.size()) segments.push_back({.text = text.substr(done)});
  return segments;
}

std::string SampleFacts(const eval::Sample& sample) {
  std::string facts;
  if (!sample.scores.empty()) facts = absl::StrFormat("P(toxic) %.3f, ", sample.scores[0].toxicity);
  if (sample.rouge.has_value())
    absl::StrAppendFormat(&facts, "ROUGE-L %.3f, ", sample.rouge->rouge_l);
  absl::StrAppend(&facts, Plural(sample.tokens, "token"));
  if (sample.truncated) absl::StrAppend(&facts, ", cut at the limit");
  return facts;
}

PairSide SideOf(const std::string& arm, const eval::ArmRow& row, const TextEvidence* evidence) {
  PairSide side{.arm = arm};
  if (row.samples.empty()) {
    side.facts = "no sample";
    return side;
  }
  const eval::Sample& sample = row.samples[0];
  side.facts = SampleFacts(sample);
  if (!sample.scores.empty() && sample.scores[0].toxicity > 0.5) side.tone = Tone::kBad;
  side.summary = Segments(sample.summary, evidence);
  return side;
}

}  // namespace

Section PairSection(const ReportInput& input) {
  const eval::Evaluation& e = input.evaluation;
  const size_t shown = std::min(e.rows.size(), kShownPairs);
  Section section{.id = "pairs", .title = "Side by side"};
  if (shown == 0) {
    section.blocks.push_back(Paragraph{"The evaluation has no rows."});
    return section;
  }
  std::string about = absl::StrCat(
      shown == 1 ? "The first prompt" : absl::StrCat("The first ", shown, " prompts"),
      ", whatever they say",
      e.config.sampling.samples > 1
          ? absl::StrCat("; of ", e.config.sampling.samples, " samples each the first one")
          : "",
      ". ");
  if (input.spans.has_value()) {
    absl::StrAppend(&about,
                    "Words are marked when the summary is less toxic without them, the stronger "
                    "the more; judge: ",
                    input.spans->judge,
                    ". A text whose toxicity hangs on no few words has no "
                    "mark.");
  } else {
    absl::StrAppend(&about, "No words are marked: no judge was at hand.");
  }
  section.blocks.push_back(Paragraph{std::move(about)});
  for (size_t r = 0; r < shown; ++r) {
    const eval::PromptRow& row = e.rows[r];
    PairBlock pair{.title = absl::StrCat("Prompt ", row.index, ", line ", row.line),
                   .dialogue = row.dialogue,
                   .references = row.references};
    for (const auto& [column, value] : row.columns)
      absl::StrAppend(&pair.title, ", ", column, ": ", value);
    for (size_t a = 0; a < e.arms.size(); ++a) {
      pair.sides.push_back(SideOf(e.arms[a].name, row.arms[a], EvidenceOf(input, r, a)));
    }
    section.blocks.push_back(std::move(pair));
  }
  return section;
}

}  // namespace mellow::report
