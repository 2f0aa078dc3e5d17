#include "services/cli/files/run_data.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/plural.h"
#include "common/base/status.h"
#include "services/cli/terminal/table.h"
#include "services/wire/data_spec.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::RunSpec;

std::string FilterText(const data::DataSpec& selection) {
  if (!selection.min_chars && !selection.max_chars) return "no filter";
  return absl::StrCat("characters of ", selection.filter_column,
                      selection.min_chars ? absl::StrCat(" > ", *selection.min_chars) : "",
                      selection.max_chars ? absl::StrCat(selection.min_chars ? " and" : "",
                                                         " <= ", *selection.max_chars)
                                          : "");
}

}  // namespace

absl::StatusOr<RunData> ReadRunData(const RunSpec& spec, const text::Tokenizer* tokenizer) {
  MELLOW_ASSIGN_OR_RETURN(data::DataSpec selection,
                          wire::DataFromProto(spec.data(), data::DataUse::kPpo));
  MELLOW_ASSIGN_OR_RETURN(data::SelectedRows rows, data::SelectRows(selection));
  MELLOW_ASSIGN_OR_RETURN(const auto order, data::DrawOrder(rows, spec.seed()));
  RunData data{.spec = std::move(selection), .rows = std::move(rows)};
  const data::Row& row = data.rows.train.rows()[order->At(0)];
  data.line = row.line;
  data.prompt = data.rows.prompt.Render(row);
  if (tokenizer != nullptr) {
    MELLOW_ASSIGN_OR_RETURN(
        text::FittedPrompt fitted,
        data.rows.prompt.Encode(row, *tokenizer, data.spec.max_source_tokens.value_or(0)));
    data.ids = std::move(fitted.ids);
    MELLOW_ASSIGN_OR_RETURN(data.decoded,
                            tokenizer->Decode(*data.ids, /*skip_special_tokens=*/false));
  }
  return data;
}

std::string RunRowsText(const RunData& data, int width) {
  return Wrap(
      absl::StrCat(
          Plural(static_cast<int64_t>(data.rows.file_rows), "row"), " in ", data.spec.path, " (",
          data.rows.format, "), ", Grouped(static_cast<int64_t>(data.rows.filtered_rows)),
          " after the filter (", FilterText(data.spec),
          "): ", Grouped(static_cast<int64_t>(data.rows.train.rows().size())), " to train on, ",
          Grouped(static_cast<int64_t>(data.rows.held_out.rows().size())), " held out"),
      width, "");
}

std::string RunExampleText(const RunData& data, int width) {
  return absl::StrCat("first prompt, line ", data.line, ":\n", Wrap(data.prompt, width, "    "));
}

std::string RunIdsText(const RunData& data, int width) {
  if (!data.ids.has_value()) return "its ids: left out (--model names a model folder)\n";
  return absl::StrCat("its ", Plural(static_cast<int64_t>(data.ids->size()), "id"), ":\n",
                      Wrap(absl::StrJoin(*data.ids, " "), width, "    "), "decoded:\n",
                      Wrap(data.decoded, width, "    "));
}

json::Value RunDataJson(const RunData& data) {
  json::Value example = {{"line", data.line}, {"prompt", data.prompt}};
  example.Add("ids", data.ids);
  example.Add("decoded", data.ids.has_value() ? json::Value(data.decoded) : json::Value());
  return {{"path", data.spec.path},
          {"format", data.rows.format},
          {"rows", data.rows.file_rows},
          {"filtered_rows", data.rows.filtered_rows},
          {"train_rows", data.rows.train.rows().size()},
          {"held_out_rows", data.rows.held_out.rows().size()},
          {"example", example}};
}

}  // namespace mellow::cli
