#include "common/nn/cpu/cpu_t5.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/cpu/cpu_t5_row.h"
#include "common/nn/lora.h"
#include "common/nn/weights/finite.h"

namespace mellow::nn::cpu {
namespace {

// Most tokens of one forward pass: bounds the activations, and more would not make the products
// faster.
constexpr int kPassTokens = 2048;

// Calls pass(first, count) for runs of requests with at most kPassTokens tokens together (but at
// least one request), up to the first error.
template <class Tokens, class RunPass>
absl::Status InPasses(size_t requests, Tokens tokens, RunPass pass) {
  for (size_t first = 0; first < requests;) {
    size_t count = 1;
    size_t total = tokens(first);
    while (first + count < requests && total + tokens(first + count) <= kPassTokens)
      total += tokens(first + count++);
    MELLOW_RETURN_IF_ERROR(pass(first, count));
    first += count;
  }
  return absl::OkStatus();
}

}  // namespace

CpuT5::CpuT5(std::string folder, std::unique_ptr<CpuBackend> backend,
             std::unique_ptr<T5Weights> weights)
    : folder_(std::move(folder)),
      backend_(std::move(backend)),
      weights_(std::move(weights)),
      layout_(backend_->kernels, weights_->config.d_kv),
      chunks_(layout_.head_floats() * weights_->config.num_heads *
              weights_->config.num_decoder_layers) {}

absl::StatusOr<std::unique_ptr<CpuT5>> CpuT5::Load(const std::string& folder,
                                                   const LoadOptions& options) {
  auto backend = std::make_unique<CpuBackend>(options);
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<T5Weights> weights, LoadT5Weights(folder, backend.get()));
  return std::unique_ptr<CpuT5>(new CpuT5(folder, std::move(backend), std::move(weights)));
}

absl::StatusOr<std::shared_ptr<const PreparedAdapter>> CpuT5::Prepare(
    const LoraWeights& lora) const {
  MELLOW_RETURN_IF_ERROR(CheckBaseCopies(folder_, lora));
  return CpuAdapter::Create(backend_.get(), weights_->Linears(), lora);
}

absl::StatusOr<const CpuAdapter*> CpuT5::CheckAdapter(const PreparedAdapter* adapter) const {
  if (adapter == nullptr) return nullptr;
  const auto* ours = dynamic_cast<const CpuAdapter*>(adapter);
  if (ours == nullptr || ours->backend() != backend_.get()) {
    return absl::InvalidArgumentError("the adapter was prepared by another model");
  }
  return ours;
}

absl::Status CpuT5::CheckIds(absl::Span<const int32_t> ids, const char* field,
                             size_t request) const {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= config().vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat("request ", request, ": ", field, "[", i,
                                                     "] is ", ids[i], ", the vocabulary has ",
                                                     config().vocab_size));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::unique_ptr<DecodeRow>>> CpuT5::EncodeInPieces(
    absl::Span<const EncodeRequest> requests, const Between& between) {
  std::vector<const CpuAdapter*> adapters;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].source_ids.empty())
      return absl::InvalidArgumentError(absl::StrCat("request ", i, ": source_ids is empty"));
    MELLOW_RETURN_IF_ERROR(CheckIds(requests[i].source_ids, "source_ids", i));
    if (!ArePositions(requests[i]))
      return absl::InvalidArgumentError(absl::StrCat("request ", i, ": positions do not rise"));
    if (!FitsValueHead(requests[i], config())) {
      return absl::InvalidArgumentError(absl::StrCat("request ", i, ": value_head has ",
                                                     requests[i].value_head->weight.size(),
                                                     " weights, d_model is ", config().d_model));
    }
    MELLOW_ASSIGN_OR_RETURN(const CpuAdapter* adapter, CheckAdapter(requests[i].adapter));
    adapters.push_back(adapter);
  }
  std::vector<std::unique_ptr<DecodeRow>> rows;
  Kept own;
  MutexLock lock(&mutex_);
  const Pass pass{between, between == nullptr ? &kept_ : &own};
  MELLOW_RETURN_IF_ERROR(InPasses(
      requests.size(), [&](size_t i) { return requests[i].source_ids.size(); },
      [&](size_t first, size_t count) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return EncodePass(pass, requests.subspan(first, count),
                          absl::MakeSpan(adapters).subspan(first, count), &rows);
      }));
  return rows;
}

absl::StatusOr<std::vector<std::vector<float>>> CpuT5::ScoreTokensInPieces(
    absl::Span<const ScoreRequest> requests, const Between& between) {
  std::vector<const CpuAdapter*> adapters;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].source_ids.empty())
      return absl::InvalidArgumentError(absl::StrCat("request ", i, ": source_ids is empty"));
    MELLOW_RETURN_IF_ERROR(CheckIds(requests[i].source_ids, "source_ids", i));
    MELLOW_RETURN_IF_ERROR(CheckIds(requests[i].target_ids, "target_ids", i));
    MELLOW_ASSIGN_OR_RETURN(const CpuAdapter* adapter, CheckAdapter(requests[i].adapter));
    adapters.push_back(adapter);
  }
  std::vector<std::vector<float>> out;
  Kept own;
  MutexLock lock(&mutex_);
  const Pass pass{between, between == nullptr ? &kept_ : &own};
  MELLOW_RETURN_IF_ERROR(InPasses(
      requests.size(),
      [&](size_t i) { return requests[i].source_ids.size() + requests[i].target_ids.size(); },
      [&](size_t first, size_t count) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return ScorePass(pass, requests.subspan(first, count),
                         absl::MakeSpan(adapters).subspan(first, count), &out);
      }));
  MELLOW_RETURN_IF_ERROR(CheckComputed(out, "log-probs"));
  return out;
}

absl::StatusOr<std::unique_ptr<DecodeRow>> CpuT5::Fork(const DecodeRow& row) {
  const auto* ours = dynamic_cast<const CpuT5Row*>(&row);
  if (ours == nullptr || ours->owner != this)
    return absl::InvalidArgumentError("the row belongs to another model");
  return std::make_unique<CpuT5Row>(*ours);
}

void CpuT5::Ragged::Append(absl::Span<const int32_t> ids, const CpuAdapter* adapter,
                           absl::Span<const int32_t> where) {
  positions.push_back(where);
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  offsets.push_back(static_cast<int>(tokens.size()));
  AppendSpan(adapter, static_cast<int>(ids.size()), &spans);
}

std::vector<CpuT5::Part> CpuT5::Parts(const Ragged& batch, int start, int count) {
  std::vector<Part> parts;
  for (int i = 0; i < batch.sequences(); ++i) {
    const int first = std::max(batch.offsets[i], start);
    const int last = std::min(batch.offsets[i + 1], start + count);
    if (first < last) parts.push_back({i, first - batch.offsets[i], last - first});
  }
  return parts;
}

absl::Status CpuT5::Pause(const Pass& pass) {
  if (pass.between == nullptr) return absl::OkStatus();
  mutex_.unlock();
  absl::Status status = Caught(pass.between);
  mutex_.lock();
  return status;
}

absl::Status CpuT5::EncodePass(const Pass& pass, absl::Span<const EncodeRequest> requests,
                               absl::Span<const CpuAdapter* const> adapters,
                               std::vector<std::unique_ptr<DecodeRow>>* rows) {
  Ragged source;
  for (size_t i = 0; i < requests.size(); ++i)
    source.Append(requests[i].source_ids, adapters[i], requests[i].positions);
  MELLOW_RETURN_IF_ERROR(RunEncoder(pass, source));
  const float* const encoded = pass.kept->encoded.data();

  const T5Config& c = config();
  const int inner = c.inner_dim();
  std::vector<std::shared_ptr<kernels::KvCache>> caches;
  for (int i = 0; i < source.sequences(); ++i) {
    caches.push_back(
        std::make_shared<kernels::KvCache>(&layout_, &chunks_, c.num_decoder_layers, c.num_heads));
    caches.back()->Reserve(source.length(i));
  }
  const int stride = 2 * inner;
  for (int layer = 0; layer < c.num_decoder_layers; ++layer) {
    MELLOW_RETURN_IF_ERROR(InPieces(pass, source.rows(), [&](int start, int count) {
      float* const kv = scratch_.keys_values.Reserve(static_cast<size_t>(count) * stride);
      ApplyLinear(backend_.get(), weights_->decoder[layer].cross_kv,
                  {encoded + static_cast<size_t>(start) * c.d_model, c.d_model}, count,
                  Slice(source.spans, start, count), {kv, stride});
      const std::vector<Part> parts = Parts(source, start, count);
      backend_->pool.Run(static_cast<int>(parts.size()) * c.num_heads, [&](int task) {
        const Part& part = parts[task / c.num_heads];
        const int head = task % c.num_heads;
        const int row = source.offsets[part.sequence] + part.first - start;
        const float* keys = kv + static_cast<size_t>(row) * stride + head * c.d_kv;
        caches[part.sequence]->Write(layer, head, {keys, stride}, {keys + inner, stride},
                                     part.first, part.count);
      });
    }));
  }
  for (int i = 0; i < source.sequences(); ++i) {
    caches[i]->Advance(source.length(i));
    rows->push_back(std::make_unique<CpuT5Row>(
        this, adapters[i], requests[i].max_target_tokens, requests[i].value_head,
        std::move(caches[i]),
        kernels::KvCache(&layout_, &chunks_, c.num_decoder_layers, c.num_heads)));
  }
  return absl::OkStatus();
}

absl::Status CpuT5::ScorePass(const Pass& pass, absl::Span<const ScoreRequest> requests,
                              absl::Span<const CpuAdapter* const> adapters,
                              std::vector<std::vector<float>>* out) {
  const T5Config& c = config();
  Ragged source;
  Ragged target;  // the decoder's input: the start token and all targets but the last
  std::vector<int32_t> labels;
  for (size_t i = 0; i < requests.size(); ++i) {
    const absl::Span<const int32_t> ids = requests[i].target_ids;
    if (ids.empty()) continue;
    source.Append(requests[i].source_ids, adapters[i]);
    std::vector<int32_t> input = {c.decoder_start_token_id};
    input.insert(input.end(), ids.begin(), ids.end() - 1);
    target.Append(input, adapters[i]);
    labels.insert(labels.end(), ids.begin(), ids.end());
  }
  std::vector<float> log_probs(labels.size());
  if (!labels.empty()) {
    MELLOW_RETURN_IF_ERROR(RunEncoder(pass, source));
    MELLOW_RETURN_IF_ERROR(RunDecoder(pass, source, target));
    const float* const x = pass.kept->x.data();
    // Logits of a block of positions at a time: never [tokens, vocabulary].
    constexpr int kBlock = kernels::kMaxGemmRows;
    size_t span = 0;
    for (int start = 0; start < target.rows();) {
      while (target.spans[span].start + target.spans[span].count <= start) ++span;
      const AdapterSpan& owner = target.spans[span];
      const int rows = std::min(kBlock, owner.start + owner.count - start);
      float* const input = scratch_.normed.Reserve(static_cast<size_t>(rows) * c.d_model);
      float* const logits = scratch_.logits.Reserve(size_t{kBlock} * c.vocab_size);
      Norm(weights_->decoder_norm, x + static_cast<size_t>(start) * c.d_model, rows, input);
      ScaleForHead(rows, input);
      ApplyLinear(backend_.get(), weights_->lm_head, {input, c.d_model}, rows,
                  {{0, rows, owner.adapter}}, {logits, c.vocab_size});
      backend_->pool.Run(rows, [&](int i) {
        const float* row = logits + static_cast<size_t>(i) * c.vocab_size;
        log_probs[start + i] = static_cast<float>(row[labels[start + i]] -
                                                  backend_->kernels.log_sum_exp(row, c.vocab_size));
      });
      start += rows;
      MELLOW_RETURN_IF_ERROR(Pause(pass));
    }
  }
  size_t next = 0;
  for (const ScoreRequest& request : requests) {
    const auto first = log_probs.begin() + static_cast<ptrdiff_t>(next);
    next += request.target_ids.size();
    out->emplace_back(first, log_probs.begin() + static_cast<ptrdiff_t>(next));
  }
  return absl::OkStatus();
}

}  // namespace mellow::nn::cpu
