#include "common/nn/torch/torch_models.h"

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/torch/torch_classifier.h"
#include "common/nn/torch/torch_seq2seq.h"

namespace mellow::nn {
namespace {

absl::StatusOr<at::ScalarType> MatrixType(WeightType type) {
  switch (type) {
    case WeightType::kFloat32:
      return at::kFloat;
    case WeightType::kBFloat16:
      return at::kBFloat16;
    case WeightType::kFloat16:
      return at::kHalf;
    case WeightType::kInt8:
      break;
  }
  return absl::UnimplementedError("int8 weights run on the CPU only; choose bfloat16 on CUDA");
}

// libtorch_cpu.so does not depend on its CUDA half: it must be in the process before libtorch first
// asks for its CUDA hooks.
absl::Status LoadTorchCuda() {
  static const std::string* const problem = [] {
    void* library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
    return new std::string(library == nullptr ? dlerror() : "");
  }();
  if (problem->empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("CUDA cannot be used: ", *problem));
}

}  // namespace

absl::StatusOr<int> CudaDeviceCount() {
  MELLOW_RETURN_IF_ERROR(LoadTorchCuda());
  return CatchTorch([]() -> absl::StatusOr<int> {
    return static_cast<int>(at::detail::getCUDAHooks().deviceCount());
  });
}

absl::StatusOr<std::unique_ptr<Seq2SeqModel>> LoadTorchSeq2SeqModel(const std::string& folder,
                                                                    const LoadOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const at::ScalarType type, MatrixType(options.weights));
  if (options.device.cuda) MELLOW_RETURN_IF_ERROR(LoadTorchCuda());
  MELLOW_ASSIGN_OR_RETURN(T5Weights weights,
                          LoadT5Weights(folder, TorchDevice(options.device), type));
  return std::unique_ptr<Seq2SeqModel>(
      std::make_unique<TorchSeq2Seq>(std::make_shared<const T5Weights>(std::move(weights))));
}

absl::StatusOr<std::unique_ptr<SequenceClassifier>> LoadTorchSequenceClassifier(
    const std::string& folder, const LoadOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const at::ScalarType type, MatrixType(options.weights));
  if (options.device.cuda) MELLOW_RETURN_IF_ERROR(LoadTorchCuda());
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<TorchClassifier> classifier,
                          TorchClassifier::Load(folder, TorchDevice(options.device), type));
  return std::unique_ptr<SequenceClassifier>(std::move(classifier));
}

}  // namespace mellow::nn
