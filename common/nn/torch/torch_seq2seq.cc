#include "common/nn/torch/torch_seq2seq.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/lora.h"
#include "common/nn/torch/lm_head.h"
#include "common/nn/torch/rms_norm.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/torch/values.h"
#include "common/nn/weights/finite.h"

namespace mellow::nn {

// The adapter's tensors and the weights that they were laid out for.
class TorchSeq2Seq::Adapter : public PreparedAdapter {
 public:
  Adapter(std::shared_ptr<const T5Weights> weights, TorchLora lora)
      : weights(std::move(weights)), lora(std::move(lora)) {}
  const std::shared_ptr<const T5Weights> weights;
  const TorchLora lora;
};

class TorchSeq2Seq::Row : public DecodeRow {
 public:
  int position() const override { return static_cast<int>(next); }

  const TorchLora* lora = nullptr;
  const ValueHead* value_head = nullptr;
  std::shared_ptr<KvPool::Slot> cross;  // shared by forks
  std::unique_ptr<KvPool::Slot> self;
  int64_t source_length = 0;
  int64_t next = 0;
};

namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr size_t kPassRows = 32;  // sequences per encoder or scoring pass, to bound the activations

std::vector<int64_t> Widen(absl::Span<const int32_t> ids) { return {ids.begin(), ids.end()}; }

// Indices of the items grouped by key, groups and items in order of first appearance, at most
// `most` a group.
template <typename Key>
std::vector<std::vector<size_t>> GroupBy(const std::vector<Key>& keys, size_t most) {
  std::vector<std::vector<size_t>> groups;
  std::map<Key, size_t> open;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto found = open.find(keys[i]);
    if (found != open.end() && groups[found->second].size() < most) {
      groups[found->second].push_back(i);
      continue;
    }
    open[keys[i]] = groups.size();
    groups.push_back({i});
  }
  return groups;
}

}  // namespace

TorchSeq2Seq::TorchSeq2Seq(std::shared_ptr<const T5Weights> weights)
    : weights_(std::move(weights)),
      no_lora_(*weights_),
      model_(weights_),
      decoder_bias_(weights_->config, weights_->decoder.relative_attention_biases, /*causal=*/true),
      self_pool_(std::make_shared<KvPool>(weights_->config.num_decoder_layers,
                                          weights_->config.num_heads, weights_->config.d_kv,
                                          weights_->device())),
      cross_pool_(std::make_shared<KvPool>(weights_->config.num_decoder_layers,
                                           weights_->config.num_heads, weights_->config.d_kv,
                                           weights_->device())) {}

absl::StatusOr<std::shared_ptr<const PreparedAdapter>> TorchSeq2Seq::Prepare(
    const LoraWeights& lora) const {
  return CatchTorch([&]() -> absl::StatusOr<std::shared_ptr<const PreparedAdapter>> {
    MELLOW_ASSIGN_OR_RETURN(TorchLora prepared,
                            TorchLora::Create(*weights_, lora, /*trainable=*/false));
    return std::make_shared<const Adapter>(weights_, std::move(prepared));
  });
}

absl::StatusOr<const TorchLora*> TorchSeq2Seq::LoraOf(const PreparedAdapter* adapter) const {
  if (adapter == nullptr) return &no_lora_;
  const auto* const ours = dynamic_cast<const Adapter*>(adapter);
  if (ours == nullptr || ours->weights != weights_)
    return absl::InvalidArgumentError("the adapter was prepared by another model");
  return &ours->lora;
}

absl::Status TorchSeq2Seq::CheckIds(absl::Span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    if (id < 0 || id >= config().vocab_size)
      return absl::InvalidArgumentError(
          absl::StrCat("id ", id, ", the vocabulary has ", config().vocab_size));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> TorchSeq2Seq::Encode(
    absl::Span<const EncodeRequest> requests) {
  std::vector<const TorchLora*> loras;
  for (const EncodeRequest& request : requests) {
    if (request.source_ids.empty()) return absl::InvalidArgumentError("source_ids is empty");
    MELLOW_RETURN_IF_ERROR(CheckIds(request.source_ids));
    if (!ArePositions(request)) return absl::InvalidArgumentError("positions do not rise");
    if (!FitsValueHead(request, config())) {
      return absl::InvalidArgumentError(absl::StrCat("value_head has ",
                                                     request.value_head->weight.size(),
                                                     " weights, d_model is ", config().d_model));
    }
    MELLOW_ASSIGN_OR_RETURN(const TorchLora* lora, LoraOf(request.adapter));
    loras.push_back(lora);
  }
  return CatchTorch([&]() -> absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> {
    const MutexLock lock(&mutex_);
    const at::NoGradGuard no_grad;
    std::vector<std::unique_ptr<DecodeRow>> out(requests.size());
    for (const std::vector<size_t>& group : GroupBy(loras, kPassRows)) {
      std::vector<std::vector<int64_t>> sources;
      int64_t longest = 0;
      for (const size_t i : group) {
        sources.push_back(Widen(requests[i].source_ids));
        longest = std::max(longest, static_cast<int64_t>(sources.back().size()));
      }
      const TorchLora& lora = *loras[group[0]];
      PackedIds packed = PackIds(sources, weights_->device());
      for (const size_t i : group) {
        const absl::Span<const int32_t> positions = requests[i].positions;
        packed.positions.push_back(
            positions.empty() ? at::Tensor() : IdTensor(Widen(positions), weights_->device()));
      }
      const at::Tensor encoded = model_.Encode(packed, lora);
      std::vector<Row*> rows;
      for (const size_t i : group) {
        auto row = std::make_unique<Row>();
        row->lora = &lora;
        row->value_head = requests[i].value_head;
        row->source_length = static_cast<int64_t>(requests[i].source_ids.size());
        row->cross = KvPool::Take(cross_pool_);
        row->self = KvPool::Take(self_pool_);
        rows.push_back(row.get());
        out[i] = std::move(row);
      }
      cross_pool_->Reserve(longest);
      for (size_t layer = 0; layer < weights_->decoder.blocks.size(); ++layer) {
        const T5Attention& attention = weights_->decoder.blocks[layer].cross_attention;
        const auto keys = LoraLinear(encoded, attention.k, lora).split_with_sizes(packed.lengths);
        const auto values = LoraLinear(encoded, attention.v, lora).split_with_sizes(packed.lengths);
        for (size_t j = 0; j < rows.size(); ++j)
          cross_pool_->Write(static_cast<int>(layer), rows[j]->cross->index(), keys[j], values[j]);
      }
    }
    return out;
  });
}

TorchSeq2Seq::StepBatch TorchSeq2Seq::MakeBatch(const std::vector<Row*>& rows) {
  StepBatch batch;
  std::vector<int64_t> self_slots, cross_slots, positions, source_lengths;
  for (const Row* row : rows) {
    const auto index = static_cast<int64_t>(self_slots.size());
    if (batch.spans.empty() || batch.spans.back().lora != row->lora)
      batch.spans.push_back({row->lora, index, 0});
    ++batch.spans.back().count;
    self_slots.push_back(row->self->index());
    cross_slots.push_back(row->cross->index());
    positions.push_back(row->next);
    source_lengths.push_back(row->source_length);
    batch.keys = std::max(batch.keys, row->next + 1);
    batch.source = std::max(batch.source, row->source_length);
  }
  const at::Device device = weights_->device();
  batch.self_slots = IdTensor(self_slots, device);
  batch.cross_slots = IdTensor(cross_slots, device);
  batch.positions = IdTensor(positions, device);
  // Row p of the causal bias already holds -inf after position p.
  for (size_t i = 0; i < decoder_bias_.size(); ++i)
    batch.self_biases.push_back(decoder_bias_.layer(i)
                                    .Get(batch.keys)
                                    .index_select(1, batch.positions)
                                    .transpose(0, 1)
                                    .unsqueeze(2));
  const at::Tensor beyond =
      at::arange(batch.source, at::TensorOptions(at::kLong).device(device)).unsqueeze(0) >=
      IdTensor(source_lengths, device).unsqueeze(1);
  batch.cross_bias = at::zeros(beyond.sizes(), at::TensorOptions(at::kFloat).device(device))
                         .masked_fill_(beyond, kMinusInfinity)
                         .view({static_cast<int64_t>(rows.size()), 1, 1, batch.source});
  return batch;
}

at::Tensor TorchSeq2Seq::Linear(const at::Tensor& x, const T5Linear& linear,
                                const std::vector<Span>& spans) {
  at::Tensor y = BaseLinear(x, linear.weight);
  for (const Span& span : spans) {
    const TorchLora::Pair& pair = span.lora->pair(linear.slot);
    if (!pair.a.defined()) continue;
    y.narrow(0, span.begin, span.count)
        .addmm_(at::linear(x.narrow(0, span.begin, span.count), pair.a), pair.b.t(), 1,
                pair.scaling);
  }
  return y;
}

at::Tensor TorchSeq2Seq::Attend(const at::Tensor& q, const at::Tensor& keys,
                                const at::Tensor& values, const at::Tensor& bias) const {
  const at::Tensor queries = q.view({q.size(0), config().num_heads, 1, config().d_kv});
  const at::Tensor scores = at::matmul(queries, keys.transpose(2, 3)).add_(bias);
  return at::matmul(at::softmax(scores, -1), values).view({q.size(0), config().inner_dim()});
}

at::Tensor TorchSeq2Seq::RunStep(const StepBatch& batch, const at::Tensor& tokens) {
  const double eps = config().layer_norm_epsilon;
  at::Tensor x = at::embedding(weights_->embedding, tokens);
  for (size_t i = 0; i < weights_->decoder.blocks.size(); ++i) {
    const T5Block& block = weights_->decoder.blocks[i];
    const int layer = static_cast<int>(i);
    const T5Attention& self = block.self_attention;
    at::Tensor normed = RmsNorm(x, self.layer_norm, eps);
    self_pool_->Append(layer, batch.self_slots, batch.positions,
                       Linear(normed, self.k, batch.spans), Linear(normed, self.v, batch.spans));
    at::Tensor mixed = Attend(Linear(normed, self.q, batch.spans),
                              self_pool_->Keys(layer, batch.self_slots, batch.keys),
                              self_pool_->Values(layer, batch.self_slots, batch.keys),
                              batch.self_biases[batch.self_biases.size() == 1 ? 0 : i]);
    x = x + Linear(mixed, self.o, batch.spans);

    const T5Attention& cross = block.cross_attention;
    normed = RmsNorm(x, cross.layer_norm, eps);
    mixed = Attend(Linear(normed, cross.q, batch.spans),
                   cross_pool_->Keys(layer, batch.cross_slots, batch.source),
                   cross_pool_->Values(layer, batch.cross_slots, batch.source), batch.cross_bias);
    x = x + Linear(mixed, cross.o, batch.spans);

    const T5FeedForward& ff = block.feed_forward;
    normed = RmsNorm(x, ff.layer_norm, eps);
    at::Tensor inner = Activate(Linear(normed, ff.wi, batch.spans), config().activation);
    if (config().gated) inner = inner * Linear(normed, ff.wi_gate, batch.spans);
    x = x + Linear(inner, ff.wo, batch.spans);
  }
  return RmsNorm(x, weights_->decoder.final_layer_norm, eps);
}

void TorchSeq2Seq::SetValues(const std::vector<Row*>& rows, const at::Tensor& hidden) const {
  std::map<const ValueHead*, std::vector<float>> values;  // of all rows, by head
  for (size_t i = 0; i < rows.size(); ++i) {
    const ValueHead* const head = rows[i]->value_head;
    if (head == nullptr) continue;
    std::vector<float>& of_head = values[head];
    if (of_head.empty()) {
      of_head = ToVector(Values(hidden, FloatTensor(head->weight, weights_->device()),
                                FloatTensor({head->bias}, weights_->device())));
    }
    rows[i]->set_value(of_head[i]);
  }
}

absl::Status TorchSeq2Seq::Step(absl::Span<DecodeRow* const> rows, absl::Span<const int32_t> tokens,
                                std::vector<float>* logits) {
  if (rows.size() != tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(tokens.size(), " tokens for ", rows.size(), " rows"));
  }
  MELLOW_RETURN_IF_ERROR(CheckIds(tokens));
  logits->clear();
  if (rows.empty()) return absl::OkStatus();
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<Row*> ours;
  for (DecodeRow* row : rows) {
    ours.push_back(dynamic_cast<Row*>(row));
    if (ours.back() == nullptr) return absl::InvalidArgumentError("a row of another model");
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::less<>()(ours[a]->lora, ours[b]->lora); });
  return CatchTorch([&]() -> absl::Status {
    const MutexLock lock(&mutex_);
    const at::NoGradGuard no_grad;
    std::vector<Row*> ordered;
    std::vector<int64_t> ids, place(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      ordered.push_back(ours[order[i]]);
      ids.push_back(tokens[order[i]]);
      place[order[i]] = static_cast<int64_t>(i);
    }
    const StepBatch batch = MakeBatch(ordered);
    self_pool_->Reserve(batch.keys);
    const at::Tensor hidden = RunStep(batch, IdTensor(ids, weights_->device()));
    SetValues(ordered, hidden);
    const at::Tensor out =
        Linear(HeadInput(*weights_, hidden), {weights_->head, weights_->head_slot()}, batch.spans);
    *logits = ToVector(out.index_select(0, IdTensor(place, weights_->device())));
    for (Row* row : ordered) ++row->next;
    return absl::OkStatus();
  });
}

absl::StatusOr<std::unique_ptr<DecodeRow>> TorchSeq2Seq::Fork(const DecodeRow& row) {
  const auto* const original = dynamic_cast<const Row*>(&row);
  if (original == nullptr) return absl::InvalidArgumentError("a row of another model");
  return CatchTorch([&]() -> absl::StatusOr<std::unique_ptr<DecodeRow>> {
    const MutexLock lock(&mutex_);
    const at::NoGradGuard no_grad;
    auto copy = std::make_unique<Row>();
    copy->lora = original->lora;
    copy->value_head = original->value_head;
    copy->cross = original->cross;
    copy->source_length = original->source_length;
    copy->next = original->next;
    copy->self = KvPool::Take(self_pool_);
    self_pool_->Reserve(copy->next);
    self_pool_->Copy(original->self->index(), copy->self->index(), copy->next);
    return copy;
  });
}

absl::StatusOr<std::vector<std::vector<float>>> TorchSeq2Seq::ScoreTokens(
    absl::Span<const ScoreRequest> requests) {
  std::vector<const TorchLora*> loras;
  for (const ScoreRequest& request : requests) {
    if (request.source_ids.empty()) return absl::InvalidArgumentError("source_ids is empty");
    MELLOW_RETURN_IF_ERROR(CheckIds(request.source_ids));
    MELLOW_RETURN_IF_ERROR(CheckIds(request.target_ids));
    MELLOW_ASSIGN_OR_RETURN(const TorchLora* lora, LoraOf(request.adapter));
    loras.push_back(lora);
  }
  return CatchTorch([&]() -> absl::StatusOr<std::vector<std::vector<float>>> {
    const MutexLock lock(&mutex_);
    const at::NoGradGuard no_grad;
    std::vector<std::vector<float>> out(requests.size());
    for (std::vector<size_t> group : GroupBy(loras, kPassRows)) {
      std::erase_if(group, [&](size_t i) { return requests[i].target_ids.empty(); });
      if (group.empty()) continue;
      std::vector<std::vector<int64_t>> sources, inputs;
      std::vector<int64_t> targets;
      for (const size_t i : group) {
        sources.push_back(Widen(requests[i].source_ids));
        const std::vector<int64_t> target = Widen(requests[i].target_ids);
        targets.insert(targets.end(), target.begin(), target.end());
        std::vector<int64_t>& input = inputs.emplace_back();
        input.push_back(config().decoder_start_token_id);
        input.insert(input.end(), target.begin(), target.end() - 1);
      }
      const TorchLora& lora = *loras[group[0]];
      const PackedIds source = PackIds(sources, weights_->device());
      const PackedIds input = PackIds(inputs, weights_->device());
      const at::Tensor hidden =
          model_.Decode(input, model_.Encode(source, lora), source.lengths, lora);
      const std::vector<float> logprobs =
          ToVector(ScoreTargets(*weights_, hidden, IdTensor(targets, weights_->device()),
                                {.adapted = &lora.pair(weights_->head_slot())})
                       .logprobs);
      auto begin = logprobs.begin();
      for (const size_t i : group) {
        const auto n = static_cast<std::ptrdiff_t>(requests[i].target_ids.size());
        out[i].assign(begin, begin + n);
        begin += n;
      }
    }
    MELLOW_RETURN_IF_ERROR(CheckComputed(out, "log-probs"));
    return out;
  });
}

}  // namespace mellow::nn
