#include "common/nn/load.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/base/status.h"
#include "common/nn/cpu/cpu_roberta.h"
#include "common/nn/cpu/cpu_t5.h"
#include "common/nn/torch/torch_models.h"
#include "common/nn/weights/model_folder.h"

namespace mellow::nn {
namespace {

absl::Status CheckOptions(const LoadOptions& options) {
  constexpr int kMaxThreads = 1024;
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads is ", options.threads, ", must be 1 to ", kMaxThreads));
  }
  return absl::OkStatus();
}

// A user who gives the classifier where the summarizer belongs should read that, not a list of
// missing tensors.
absl::Status CheckModelType(const std::string& folder, absl::Span<const char* const> expected) {
  MELLOW_ASSIGN_OR_RETURN(const std::string type, ModelType(folder));
  if (std::find(expected.begin(), expected.end(), type) != expected.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(folder, " holds a model of type \"", type,
                                                 "\", expected \"",
                                                 absl::StrJoin(expected, "\" or \""), "\""));
}

// StatusOr of a backend as StatusOr of its interface.
template <class Interface, class Model>
absl::StatusOr<std::unique_ptr<Interface>> Up(absl::StatusOr<std::unique_ptr<Model>> model) {
  if (!model.ok()) return model.status();
  return std::unique_ptr<Interface>(std::move(*model));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Seq2SeqModel>> LoadSeq2SeqModel(const std::string& folder,
                                                               const LoadOptions& options) {
  MELLOW_RETURN_IF_ERROR(CheckOptions(options));
  MELLOW_RETURN_IF_ERROR(CheckModelType(folder, {"t5", "mt5", "umt5"}));
  if (options.device.cuda) return LoadTorchSeq2SeqModel(folder, options);
  return Up<Seq2SeqModel>(cpu::CpuT5::Load(folder, options));
}

absl::StatusOr<std::unique_ptr<SequenceClassifier>> LoadSequenceClassifier(
    const std::string& folder, const LoadOptions& options) {
  MELLOW_RETURN_IF_ERROR(CheckOptions(options));
  MELLOW_RETURN_IF_ERROR(CheckModelType(folder, {"roberta"}));
  if (options.device.cuda) return LoadTorchSequenceClassifier(folder, options);
  return Up<SequenceClassifier>(cpu::CpuRoberta::Load(folder, options));
}

}  // namespace mellow::nn
