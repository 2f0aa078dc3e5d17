// Requests to the policy and the reward as they come, through servers of this process whose models
// are of a few lines. Every request is answered, and a bad one is said to be bad: neither a crash
// nor an error that blames the server.

#include <chrono>
#include <memory>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/sha256.h"
#include "common/obs/log.h"
#include "common/rpc/server.h"
#include "services/policy/policy_service.h"
#include "services/reward/reward_service.h"
#include "tests/fuzz/input.h"
#include "tests/testing/fake_seq2seq_model.h"

namespace mellow {
namespace {

// A byte is a token, and </s> (1) the last.
class ByteTokenizer : public text::Tokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              int max_tokens) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(2 + static_cast<uint8_t>(c) % (vocab_size() - 2));
    if (max_tokens > 0 && ids.size() >= static_cast<size_t>(max_tokens)) ids.resize(max_tokens - 1);
    ids.push_back(1);
    return ids;
  }
  absl::StatusOr<std::vector<int32_t>> EncodePair(absl::string_view text, absl::string_view pair,
                                                  int max_tokens) const override {
    return Encode(absl::StrCat(text, pair), max_tokens);
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids, bool) const override {
    std::string text;
    for (const int32_t id : ids) text += static_cast<char>(' ' + id);
    return text;
  }
  int vocab_size() const override { return 64; }
};

// The logit of hate is the length.
class LengthClassifier : public nn::SequenceClassifier {
 public:
  LengthClassifier() {
    config_.labels = {"nothate", "hate"};
    config_.max_position_embeddings = 12;  // 10 tokens
  }
  const nn::RobertaConfig& config() const override { return config_; }
  int64_t parameter_count() const override { return 1; }
  absl::StatusOr<std::vector<std::vector<float>>> Classify(
      absl::Span<const std::vector<int32_t>> sequences) override {
    std::vector<std::vector<float>> logits;
    for (const std::vector<int32_t>& ids : sequences)
      logits.push_back({0, static_cast<float>(ids.size())});
    return logits;
  }

 private:
  nn::RobertaConfig config_;
};

using google::protobuf::RepeatedField;

class Services {
 public:
  Services() {
    model_.mutable_config()->d_model = 2;
    auto server = rpc::Server::Start({}, {&policy_, &reward_},
                                     {policy::v1::PolicyService::service_full_name(),
                                      reward::v1::RewardService::service_full_name()},
                                     &metrics_);
    Require(server.ok(), "the server starts");
    server_ = *std::move(server);
    policy_stub_ = policy::v1::PolicyService::NewStub(server_->InProcessChannel());
    reward_stub_ = reward::v1::RewardService::NewStub(server_->InProcessChannel());
  }

  void Generate(const std::string& bytes) {
    policy::v1::GenerateRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    policy::v1::GenerateResponse response;
    if (!call.Ended(policy_stub_->Generate(&call.context, request, &response))) return;
    Require(response.generations_size() == request.prompts_size(), "every prompt is answered");
    for (const policy::v1::Generation& each : response.generations()) {
      Require(each.ids_size() <= kMostNewTokens && each.logprobs_size() == each.ids_size(),
              "a sequence has its length");
      CheckIds(each.ids());
    }
  }
  void GenerateStream(const std::string& bytes) {
    policy::v1::GenerateStreamRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    auto reader = policy_stub_->GenerateStream(&call.context, request);
    for (policy::v1::GenerateStreamResponse part; reader->Read(&part);) CheckIds(part.ids());
    (void)call.Ended(reader->Finish());
  }
  void Summarize(const std::string& bytes) {
    policy::v1::SummarizeRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    policy::v1::SummarizeResponse response;
    if (!call.Ended(policy_stub_->Summarize(&call.context, request, &response))) return;
    CheckSummary(response);
  }
  void SummarizeStream(const std::string& bytes) {
    policy::v1::SummarizeRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    auto reader = policy_stub_->SummarizeStream(&call.context, request);
    std::string text;
    policy::v1::SummarizeResponse result;
    for (policy::v1::SummarizeStreamResponse part; reader->Read(&part);) {
      text += part.text();
      if (part.has_result()) result = part.result();
    }
    if (!call.Ended(reader->Finish())) return;
    Require(result.summary() == text, "the pieces are the summary");
    CheckSummary(result);
  }
  void ScoreTokens(const std::string& bytes) {
    policy::v1::ScoreTokensRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    policy::v1::ScoreTokensResponse response;
    if (!call.Ended(policy_stub_->ScoreTokens(&call.context, request, &response))) return;
    Require(response.logprobs_size() == request.pairs_size(), "every pair is answered");
    for (int i = 0; i < request.pairs_size(); ++i)
      Require(response.logprobs(i).values_size() == request.pairs(i).target_ids_size(),
              "every target has its number");
  }
  // `repaired`: the header is made to fit to the data, whose hashes nobody guesses.
  void Publish(const std::string& bytes, bool repaired) {
    auto chunks = ReadMessages<common::v1::AdapterChunk>(bytes);
    for (common::v1::AdapterChunk& chunk : chunks) {
      // The server would look the name up.
      if (chunk.has_header()) chunk.mutable_header()->clear_fetch_from();
    }
    if (repaired && !chunks.empty() && chunks[0].has_header()) {
      const std::string data = DataOf(chunks);
      common::v1::AdapterChunk::Header* const header = chunks[0].mutable_header();
      header->set_data_bytes(static_cast<int64_t>(data.size()));
      header->set_data_sha256(Sha256Hex(data));
      if (const auto lora = adapters::ParsePeft({header->config_json(), data}); lora.ok())
        header->mutable_adapter()->set_sha256(adapters::ContentHash(*lora));
    }
    Call call;
    policy::v1::PublishAdapterResponse response;
    auto writer = policy_stub_->PublishAdapter(&call.context, &response);
    for (const common::v1::AdapterChunk& chunk : chunks) {
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    if (!call.Ended(writer->Finish())) return;
    const common::v1::AdapterRef& ref = chunks[0].header().adapter();
    if (ref.version() == 0) return;  // a champion: the base model
    policy::v1::FetchAdapterRequest fetch;
    *fetch.mutable_adapter() = ref;
    Fetch(fetch.SerializeAsString());
  }
  void Fetch(const std::string& bytes) {
    policy::v1::FetchAdapterRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    auto reader = policy_stub_->FetchAdapter(&call.context, request);
    for (common::v1::AdapterChunk chunk; reader->Read(&chunk);) {
    }
    (void)call.Ended(reader->Finish());
  }
  void Score(const std::string& bytes) {
    reward::v1::ScoreRequest request;
    if (!request.ParseFromString(bytes)) return;
    Call call;
    reward::v1::ScoreResponse response;
    if (!call.Ended(reward_stub_->Score(&call.context, request, &response))) return;
    Require(response.scores_size() == request.texts_size(), "every text is answered");
    for (const reward::v1::TextScore& score : response.scores())
      Require(score.toxicity() >= 0 && score.toxicity() <= 1, "a toxicity is a probability");
  }

 private:
  static constexpr int kMostNewTokens = 8;

  struct Call {
    Call() { context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(8)); }
    // Whether it ended well.
    bool Ended(const grpc::Status& status) const {
      if (status.ok()) return true;
      constexpr grpc::StatusCode kCallers[] = {
          grpc::StatusCode::INVALID_ARGUMENT,    grpc::StatusCode::NOT_FOUND,
          grpc::StatusCode::ALREADY_EXISTS,      grpc::StatusCode::RESOURCE_EXHAUSTED,
          grpc::StatusCode::FAILED_PRECONDITION, grpc::StatusCode::DATA_LOSS,
          grpc::StatusCode::UNIMPLEMENTED};
      if (!absl::c_linear_search(kCallers, status.error_code()))
        Require(false,
                absl::StrCat("the request is at fault, not the server: ",
                             static_cast<int>(status.error_code()), " ", status.error_message())
                    .c_str());
      return false;
    }
    grpc::ClientContext context;
  };

  static policy::PolicyOptions Options() {
    policy::PolicyOptions options;
    options.prompt_template = "> {dialogue}";
    options.max_source_tokens = 8;
    options.max_new_tokens = kMostNewTokens;
    options.default_max_new_tokens = 4;
    options.max_rows = 8;
    options.max_batch_tokens = 256;
    options.queue_capacity = 16;
    return options;
  }
  void CheckIds(const RepeatedField<int32_t>& ids) const {
    for (const int32_t id : ids)
      Require(id >= 0 && id < tokenizer_.vocab_size(), "ids are in the vocabulary");
  }
  static void CheckSummary(const policy::v1::SummarizeResponse& summary) {
    Require(summary.prompt_tokens() <= 8 && summary.summary_tokens() <= kMostNewTokens,
            "the node's limits hold");
    Require(summary.truncated() == (summary.prompt_tokens() < summary.uncut_prompt_tokens()),
            "what was cut is said");
  }

  testing::FakeSeq2SeqModel model_;
  LengthClassifier classifier_;
  ByteTokenizer tokenizer_;
  obs::Metrics metrics_;
  policy::AdapterTable adapters_{2};
  policy::PolicyEngine policy_engine_{
      &model_, {.max_rows = 8, .max_batch_tokens = 256, .queue_capacity = 16}, &metrics_};
  reward::RewardEngine reward_engine_{
      &classifier_, {.queue_capacity = 64, .linger = absl::ZeroDuration()}, &metrics_};
  nn::ModelHash no_hash_{""};
  policy::PolicyServiceImpl policy_{Options(),   "cpu",      &model_,         &no_hash_,
                                    &tokenizer_, &adapters_, &policy_engine_, &metrics_};
  reward::RewardServiceImpl reward_{{},        "cpu",       /*toxic=*/1,     &classifier_,
                                    &no_hash_, &tokenizer_, &reward_engine_, &metrics_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<policy::v1::PolicyService::Stub> policy_stub_;
  std::unique_ptr<reward::v1::RewardService::Stub> reward_stub_;
};

}  // namespace
}  // namespace mellow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  static const bool quiet = obs::InitLog("requests", "error").ok();
  Require(quiet, "the log is open");
  // Never destroyed: the servers' threads may outlive main().
  static Services* const services = new Services();
  const Chosen input = Choose(data, size, 8);
  switch (input.kind) {
    case 0:
      services->Generate(input.bytes);
      break;
    case 1:
      services->GenerateStream(input.bytes);
      break;
    case 2:
      services->Summarize(input.bytes);
      break;
    case 3:
      services->SummarizeStream(input.bytes);
      break;
    case 4:
      services->ScoreTokens(input.bytes);
      break;
    case 5:
      services->Publish(input.bytes, input.again);
      break;
    case 6:
      services->Fetch(input.bytes);
      break;
    default:
      services->Score(input.bytes);
  }
  return 0;
}
