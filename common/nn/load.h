#ifndef MELLOW_COMMON_NN_LOAD_H_
#define MELLOW_COMMON_NN_LOAD_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/nn/load_options.h"
#include "common/nn/seq2seq_model.h"
#include "common/nn/sequence_classifier.h"

namespace mellow::nn {

// Load a Hugging Face folder for inference: our own kernels on the CPU, libtorch on CUDA. Errors as
// ReadPretrained* and TensorReader::Finish, with the folder named.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Seq2SeqModel>> LoadSeq2SeqModel(
    const std::string& folder, const LoadOptions& options);
[[nodiscard]] absl::StatusOr<std::unique_ptr<SequenceClassifier>> LoadSequenceClassifier(
    const std::string& folder, const LoadOptions& options);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_LOAD_H_
