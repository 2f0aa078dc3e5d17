#ifndef MELLOW_TESTS_SERVICES_POLICY_POLICY_SERVICE_FIXTURE_H_
#define MELLOW_TESTS_SERVICES_POLICY_POLICY_SERVICE_FIXTURE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/adapters/peft.h"
#include "common/rpc/server.h"
#include "gtest/gtest.h"
#include "services/policy/policy_service.h"
#include "services/wire/adapter_stream.h"
#include "tests/testing/fake_seq2seq_model.h"
#include "tests/testing/source_tree.h"

namespace mellow::policy {

// A word is its number: "5 8" <-> {5, 8}.
class NumberTokenizer : public text::Tokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              int max_tokens) const override {
    ++calls;
    if (text == "\xff") return absl::InvalidArgumentError("not UTF-8 at byte 0");
    std::vector<int32_t> ids;
    for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
      int id = 0;
      if (absl::SimpleAtoi(word, &id)) ids.push_back(id);
    }
    if (max_tokens > 0 && static_cast<int>(ids.size()) > max_tokens) ids.resize(max_tokens);
    return ids;
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids, bool) const override {
    return absl::StrJoin(ids, " ");
  }
  int vocab_size() const override { return 64; }

  mutable std::atomic<int> calls = 0;
};

inline nn::LoraWeights MakeLora(float value) {
  nn::LoraWeights lora;
  lora.config.r = 1;
  lora.config.target_modules = {"q"};
  lora.modules["encoder.block.0.layer.0.SelfAttention.q"] = {
      nn::HostTensor::FromFloat32({value, 2}, {1, 2}), nn::HostTensor::FromFloat32({3, 4}, {2, 1})};
  return lora;
}

class PolicyServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server =
        rpc::Server::Start({}, {&service_}, {v1::PolicyService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::PolicyService::NewStub(server_->InProcessChannel());
  }

  grpc::Status Generate(const v1::GenerateRequest& request, v1::GenerateResponse* response) {
    grpc::ClientContext context;
    return stub_->Generate(&context, request, response);
  }
  v1::GenerateRequest MakeRequest(const std::string& text) {
    v1::GenerateRequest request;
    request.add_prompts()->set_text(text);
    return request;
  }
  grpc::Status Publish(int64_t version, const nn::LoraWeights& lora,
                       const std::function<void(common::v1::AdapterChunk*)>& spoil = nullptr,
                       wire::Publication as = wire::Publication::kNewest) {
    common::v1::AdapterRef ref;
    ref.set_version(version);
    ref.set_sha256(adapters::ContentHash(lora));
    grpc::ClientContext context;
    v1::PublishAdapterResponse response;
    auto writer = stub_->PublishAdapter(&context, &response);
    (void)wire::SendAdapter(
        ref, adapters::SerializePeft(lora),
        [&](const common::v1::AdapterChunk& chunk) {
          common::v1::AdapterChunk copy = chunk;
          if (spoil != nullptr) spoil(&copy);
          return writer->Write(copy);
        },
        as);
    writer->WritesDone();
    return writer->Finish();
  }

  grpc::Status PublishChampion(int64_t version, const nn::LoraWeights& lora) {
    return Publish(version, lora, nullptr, wire::Publication::kChampion);
  }
  // What Summarize serves when no version is asked for.
  int64_t ServedToUsers() {
    v1::SummarizeRequest request;
    request.set_dialogue("5 8");
    v1::SummarizeResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->Summarize(&context, request, &response).ok());
    return response.adapter().version();
  }
  std::vector<int64_t> Listed(int64_t* champion) {
    grpc::ClientContext context;
    v1::ListAdaptersResponse list;
    EXPECT_TRUE(stub_->ListAdapters(&context, {}, &list).ok());
    std::vector<int64_t> versions;
    for (const auto& adapter : list.adapters()) versions.push_back(adapter.version());
    *champion = list.has_champion() ? list.champion().version() : -1;
    return versions;
  }

  PolicyOptions options_ = [] {
    PolicyOptions options;
    options.max_source_tokens = 8;
    options.max_new_tokens = 32;
    options.default_max_new_tokens = 16;
    options.prompt_template = "{dialogue}";
    return options;
  }();
  testing::FakeSeq2SeqModel model_;
  NumberTokenizer tokenizer_;
  obs::Metrics metrics_;
  AdapterTable adapters_{2};
  PolicyEngine engine_{&model_, {}, &metrics_};
  nn::ModelHash model_hash_{SourceTree("/deploy/models/mini-summarizer")};
  PolicyServiceImpl service_{options_,    "cpu",      &model_,  &model_hash_,
                             &tokenizer_, &adapters_, &engine_, &metrics_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::PolicyService::Stub> stub_;
};

}  // namespace mellow::policy

#endif  // MELLOW_TESTS_SERVICES_POLICY_POLICY_SERVICE_FIXTURE_H_
