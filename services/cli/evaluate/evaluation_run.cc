#include "services/cli/evaluate/evaluation_run.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/eval/text/rouge.h"
#include "common/sync/in_batches.h"
#include "common/sync/mutex.h"
#include "services/cli/evaluate/judged_text.h"

namespace mellow::cli {
namespace {

// Texts of an arm that are generated together.
constexpr int kSampledTextsPerCall = 16;

// Rows, and for each of their samples in the same order what the arms wrote.
struct Chunk {
  std::vector<eval::PromptRow> rows;
  std::vector<std::vector<WrittenSummary>> written;  // by arm; prompt by prompt, sample by sample
};

absl::Status WriteSummaries(const eval::Evaluation& e, const EvaluationEngines& engines,
                            absl::Span<const EvaluationPrompt> prompts, Chunk* chunk) {
  std::vector<SummaryRequest> requests;
  for (const EvaluationPrompt& prompt : prompts) {
    for (int s = 0; s < e.config.sampling.samples; ++s) {
      // Part of the random key: every arm draws the same numbers for the same prompt and sample.
      requests.push_back(
          {prompt.source_ids, static_cast<uint64_t>(prompt.row.index), static_cast<uint32_t>(s)});
    }
  }
  for (size_t a = 0; a < engines.arms.size(); ++a) {
    absl::StatusOr<std::vector<WrittenSummary>> written = engines.arms[a]->Write(requests);
    if (!written.ok()) return Annotate(written.status(), absl::StrCat("arm ", e.arms[a].name));
    if (written->size() != requests.size())
      return absl::InternalError("an arm wrote another number of summaries");
    chunk->written.push_back(*std::move(written));
  }
  return absl::OkStatus();
}

absl::Status FillSamples(const eval::Evaluation& e, absl::Span<const EvaluationPrompt> prompts,
                         Chunk* chunk) {
  const auto samples = static_cast<size_t>(e.config.sampling.samples);
  for (size_t p = 0; p < prompts.size(); ++p) {
    eval::PromptRow& row = chunk->rows.emplace_back(prompts[p].row);
    row.arms.resize(e.arms.size());
    for (size_t a = 0; a < e.arms.size(); ++a) {
      for (size_t s = 0; s < samples; ++s) {
        const WrittenSummary& from = chunk->written[a][p * samples + s];
        eval::Sample& sample = row.arms[a].samples.emplace_back();
        sample.summary = from.text;
        sample.tokens = static_cast<int32_t>(from.ids.size());
        sample.truncated = from.truncated;
        if (row.references.empty()) continue;
        absl::StatusOr<eval::RougeScores> rouge =
            eval::ScoreRouge(sample.summary, row.references, e.config.stemmer);
        if (!rouge.ok())
          return Annotate(rouge.status(), absl::StrCat(e.config.data_path, ":", row.line));
        sample.rouge = eval::RowRouge{rouge->rouge1.fmeasure, rouge->rouge2.fmeasure,
                                      rouge->rouge_l.fmeasure, rouge->rouge_lsum.fmeasure};
      }
    }
  }
  return absl::OkStatus();
}

absl::Status FillKl(const eval::Evaluation& e, const EvaluationEngines& engines,
                    absl::Span<const EvaluationPrompt> prompts, Chunk* chunk) {
  const auto samples = static_cast<size_t>(e.config.sampling.samples);
  for (size_t a = 0; a < e.arms.size(); ++a) {
    if (e.arms[a].sha256.empty()) continue;  // the base model itself
    const std::vector<WrittenSummary>& written = chunk->written[a];
    std::vector<PairToScore> pairs;
    for (size_t i = 0; i < written.size(); ++i)
      pairs.push_back({prompts[i / samples].source_ids, written[i].ids});
    MELLOW_ASSIGN_OR_RETURN(const auto bare, engines.bare->Score(pairs));
    for (size_t i = 0; i < written.size(); ++i) {
      if (bare[i].size() != written[i].logprobs.size())
        return absl::InternalError("another number of log-probs than of tokens");
      double kl = 0;
      for (size_t t = 0; t < bare[i].size(); ++t)
        kl += static_cast<double>(written[i].logprobs[t]) - static_cast<double>(bare[i][t]);
      chunk->rows[i / samples].arms[a].samples[i % samples].kl = kl;
    }
  }
  return absl::OkStatus();
}

JudgeEngine* JudgeOf(const eval::Evaluation& e, const EvaluationEngines& engines,
                     const eval::Scoring& scoring) {
  size_t j = 0;
  while (e.judges[j].name != scoring.judge) ++j;
  return engines.judges[j].get();
}

absl::Status FillScores(const eval::Evaluation& e, const EvaluationEngines& engines,
                        absl::Span<const EvaluationPrompt> prompts, Chunk* chunk) {
  for (const eval::Scoring& scoring : e.scorings) {
    std::vector<std::string> texts;
    std::vector<eval::Sample*> samples;
    for (size_t p = 0; p < prompts.size(); ++p) {
      for (eval::ArmRow& arm : chunk->rows[p].arms) {
        for (eval::Sample& sample : arm.samples) {
          samples.push_back(&sample);
          texts.push_back(JudgedText(scoring.text,
                                     {prompts[p].query, prompts[p].special_query, sample.summary}));
        }
      }
    }
    absl::StatusOr<std::vector<eval::JudgeScore>> scores =
        JudgeOf(e, engines, scoring)->Score(texts);
    if (!scores.ok()) return Annotate(scores.status(), absl::StrCat("judge ", scoring.judge));
    for (size_t i = 0; i < samples.size(); ++i) samples[i]->scores.push_back((*scores)[i]);
  }
  return absl::OkStatus();
}

bool Fits(const eval::Evaluation& e, const eval::PromptRow& row) {
  if (row.index < 0 || row.index >= e.config.prompts || row.arms.size() != e.arms.size())
    return false;
  return std::all_of(row.arms.begin(), row.arms.end(), [&e](const eval::ArmRow& arm) {
    return arm.samples.size() == static_cast<size_t>(e.config.sampling.samples) &&
           std::all_of(arm.samples.begin(), arm.samples.end(), [&e](const eval::Sample& sample) {
             return sample.scores.size() == e.scorings.size();
           });
  });
}

// Rows by prompt; empty where there is none yet.
using RowTable = std::vector<std::optional<eval::PromptRow>>;

absl::StatusOr<RowTable> Place(const eval::Evaluation& e, size_t prompts,
                               std::vector<eval::PromptRow> finished) {
  RowTable table(prompts);
  for (eval::PromptRow& row : finished) {
    if (!Fits(e, row)) {
      return absl::DataLossError(
          absl::StrCat("rows.jsonl: the row of prompt ", row.index,
                       " does not fit this evaluation; --fresh begins anew"));
    }
    table[static_cast<size_t>(row.index)] = std::move(row);
  }
  return table;
}

}  // namespace

absl::StatusOr<std::vector<eval::PromptRow>> EvaluatePrompts(
    const eval::Evaluation& evaluation, const EvaluationEngines& engines,
    absl::Span<const EvaluationPrompt> prompts) {
  Chunk chunk;
  MELLOW_RETURN_IF_ERROR(WriteSummaries(evaluation, engines, prompts, &chunk));
  MELLOW_RETURN_IF_ERROR(FillSamples(evaluation, prompts, &chunk));
  MELLOW_RETURN_IF_ERROR(FillKl(evaluation, engines, prompts, &chunk));
  MELLOW_RETURN_IF_ERROR(FillScores(evaluation, engines, prompts, &chunk));
  return std::move(chunk.rows);
}

absl::StatusOr<std::vector<eval::PromptRow>> RunEvaluation(
    const eval::Evaluation& evaluation, const EvaluationEngines& engines,
    absl::Span<const EvaluationPrompt> prompts, std::vector<eval::PromptRow> finished,
    EvaluationJournal* journal, const std::function<void(size_t)>& on_rows,
    const std::function<bool()>& stop) {
  MELLOW_ASSIGN_OR_RETURN(RowTable table, Place(evaluation, prompts.size(), std::move(finished)));
  std::vector<EvaluationPrompt> missing;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!table[i].has_value()) missing.push_back(prompts[i]);
  }
  const auto chunk =
      static_cast<size_t>(std::max(1, kSampledTextsPerCall / evaluation.config.sampling.samples));
  Mutex mutex;
  MELLOW_RETURN_IF_ERROR(InBatches(
      missing.size(), chunk, engines.threads, [&](size_t begin, size_t end) -> absl::Status {
        if (stop()) return absl::CancelledError("interrupted");
        MELLOW_ASSIGN_OR_RETURN(
            std::vector<eval::PromptRow> rows,
            EvaluatePrompts(evaluation, engines,
                            absl::MakeConstSpan(missing).subspan(begin, end - begin)));
        MELLOW_RETURN_IF_ERROR(journal->Append(rows));
        MutexLock lock(&mutex);
        on_rows(rows.size());
        for (eval::PromptRow& row : rows) table[static_cast<size_t>(row.index)] = std::move(row);
        return absl::OkStatus();
      }));
  std::vector<eval::PromptRow> rows;
  for (std::optional<eval::PromptRow>& row : table) rows.push_back(*std::move(row));
  return rows;
}

}  // namespace mellow::cli
