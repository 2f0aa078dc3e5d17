#include "services/wire/data_spec.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"

namespace mellow::wire {
namespace {

using common::v1::DataSpec;
using data::DataUse;

absl::Status CheckUse(const DataSpec& message, DataUse use) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    const int number = field->number();
    const bool of_sft =
        number >= DataSpec::kSummaryColumnFieldNumber && number <= DataSpec::kMaxDevRowsFieldNumber;
    const bool of_evaluation = number >= DataSpec::kReferenceColumnsFieldNumber;
    if ((of_sft && use != DataUse::kSft) || (of_evaluation && use != DataUse::kEvaluation)) {
      return absl::InvalidArgumentError(
          absl::StrCat("data.", std::string(field->name()), ": is of ",
                       of_sft ? "supervised fine-tuning" : "evaluations", " only"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<data::DataSpec> DataFromProto(const DataSpec& message, DataUse use) {
  MELLOW_RETURN_IF_ERROR(CheckUse(message, use));
  data::DataSpec spec;
  spec.path = message.path();
  if (message.has_dialogue_column()) spec.dialogue_column = message.dialogue_column();
  if (message.has_prompt_template()) spec.prompt_template = message.prompt_template();
  spec.prompt_template = absl::StrReplaceAll(
      spec.prompt_template, {{"{dialogue}", absl::StrCat("{", spec.dialogue_column, "}")}});
  if (message.has_min_chars()) spec.min_chars = message.min_chars();
  if (message.has_max_chars()) spec.max_chars = message.max_chars();
  spec.filter_column = message.has_filter_column() ? message.filter_column() : spec.dialogue_column;
  if (message.has_train_fraction() || use == DataUse::kEvaluation)
    spec.split.train_fraction = message.train_fraction();
  if (message.has_split_seed()) spec.split.seed = message.split_seed();
  spec.split.column = message.has_split_column() ? message.split_column() : spec.dialogue_column;
  if (message.has_max_source_tokens()) spec.max_source_tokens = message.max_source_tokens();
  if (message.has_summary_column()) spec.summary_column = message.summary_column();
  if (message.has_max_target_tokens()) spec.max_target_tokens = message.max_target_tokens();
  spec.dev_path = message.dev_path();
  spec.dev_fraction = message.dev_fraction();
  if (message.has_max_dev_rows()) spec.max_dev_rows = message.max_dev_rows();
  if (message.has_reference_columns()) {
    spec.reference_columns =
        absl::StrSplit(message.reference_columns(), ',', absl::SkipWhitespace());
  }
  spec.limit = message.limit();
  MELLOW_RETURN_IF_ERROR(spec.Validate(use));
  return spec;
}

}  // namespace mellow::wire
