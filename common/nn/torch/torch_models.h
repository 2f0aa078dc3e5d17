#ifndef MELLOW_COMMON_NN_TORCH_TORCH_MODELS_H_
#define MELLOW_COMMON_NN_TORCH_TORCH_MODELS_H_

// The interfaces of inference on libtorch, for CUDA devices (and, for tests, libtorch's CPU
// device). No torch in this header.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/nn/load_options.h"
#include "common/nn/seq2seq_model.h"
#include "common/nn/sequence_classifier.h"

namespace mellow::nn {

// CUDA devices that this process can use; loads libtorch_cuda.so at the first call.
// FailedPrecondition: the library or one that it needs cannot be loaded (named).
[[nodiscard]] absl::StatusOr<int> CudaDeviceCount();

// Errors as LoadSeq2SeqModel; Unimplemented for int8 weights.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Seq2SeqModel>> LoadTorchSeq2SeqModel(
    const std::string& folder, const LoadOptions& options);
[[nodiscard]] absl::StatusOr<std::unique_ptr<SequenceClassifier>> LoadTorchSequenceClassifier(
    const std::string& folder, const LoadOptions& options);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TORCH_MODELS_H_
