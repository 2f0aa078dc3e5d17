#include "common/nn/pretrained.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/weights/finite.h"
#include "common/nn/weights/model_folder.h"

namespace mellow::nn {
namespace {

constexpr char kShared[] = "shared.weight";
constexpr char kHead[] = "lm_head.weight";
// Other names of the one embedding; transformers saves it under the first of the three that it
// meets, or under all.
constexpr const char* kEmbeddingCopies[] = {"encoder.embed_tokens.weight",
                                            "decoder.embed_tokens.weight"};

// Present in the first T5 checkpoints, and of no use in transformers either.
constexpr const char* kUnusedOfT5[] = {
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
// Constant buffers of the embeddings; the pooler, which sequence classification does not use; the
// head of the language model that the classifier began as.
constexpr const char* kUnusedOfRoberta[] = {"roberta.embeddings.position_ids",
                                            "roberta.embeddings.token_type_ids",
                                            "roberta.pooler.dense.weight",
                                            "roberta.pooler.dense.bias",
                                            "lm_head.bias",
                                            "lm_head.dense.weight",
                                            "lm_head.dense.bias",
                                            "lm_head.layer_norm.weight",
                                            "lm_head.layer_norm.bias",
                                            "lm_head.decoder.weight",
                                            "lm_head.decoder.bias"};

bool SameTensor(const HostTensor& a, const HostTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         (a.bytes.data() == b.bytes.data() ||
          std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0);
}

absl::Status Differ(absl::string_view name, absl::string_view other, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      name, " and ", other, " are both there and differ, but the model has one of them", why));
}

// Leaves one embedding, under kShared.
absl::Status OneEmbedding(TensorMap* tensors) {
  for (const char* name : kEmbeddingCopies) {
    auto copy = tensors->extract(name);
    if (copy.empty()) continue;
    const auto shared = tensors->find(kShared);
    if (shared == tensors->end()) {
      copy.key() = kShared;
      tensors->insert(std::move(copy));
    } else if (!SameTensor(copy.mapped(), shared->second)) {
      return Differ(kShared, name, "");
    }
  }
  return absl::OkStatus();
}

// Decides whether the head is the embedding; leaves a head of its own under kHead.
absl::Status ChooseHead(T5Config* config, TensorMap* tensors) {
  if (!config->tie_word_embeddings) return absl::OkStatus();
  const auto head = tensors->find(kHead);
  if (head == tensors->end()) return absl::OkStatus();
  const auto shared = tensors->find(kShared);
  if (shared == tensors->end()) {
    auto only = tensors->extract(head);
    only.key() = kShared;
    tensors->insert(std::move(only));
  } else if (SameTensor(head->second, shared->second)) {
    tensors->erase(head);
  } else if (config->written_by_transformers_5) {
    config->tie_word_embeddings = false;
  } else {
    return Differ(kShared, kHead,
                  " by tie_word_embeddings (if they do belong apart: false in config.json)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PretrainedT5> ReadPretrainedT5(const std::string& folder) {
  PretrainedT5 model;
  MELLOW_ASSIGN_OR_RETURN(model.config, ReadT5Config(folder));
  MELLOW_ASSIGN_OR_RETURN(model.tensors, LoadModelTensors(folder));
  for (const char* name : kUnusedOfT5) model.tensors.erase(name);
  MELLOW_RETURN_IF_ERROR(Annotate(OneEmbedding(&model.tensors), folder));
  MELLOW_RETURN_IF_ERROR(Annotate(ChooseHead(&model.config, &model.tensors), folder));
  MELLOW_RETURN_IF_ERROR(Annotate(CheckWeights(model.tensors), folder));
  return model;
}

absl::StatusOr<PretrainedRoberta> ReadPretrainedRoberta(const std::string& folder) {
  PretrainedRoberta model;
  MELLOW_ASSIGN_OR_RETURN(model.config, ReadRobertaConfig(folder));
  MELLOW_ASSIGN_OR_RETURN(model.tensors, LoadModelTensors(folder));
  for (const char* name : kUnusedOfRoberta) model.tensors.erase(name);
  MELLOW_RETURN_IF_ERROR(Annotate(CheckWeights(model.tensors), folder));
  return model;
}

}  // namespace mellow::nn
