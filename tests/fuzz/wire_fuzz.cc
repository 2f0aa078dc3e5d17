// Messages of peers and callers: what the services make of them and what of it they refuse, without
// the servers around it.

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <cmath>
#include <iterator>

#include "common/base/sha256.h"
#include "common/base/steady_time.h"
#include "mellow/learner/v1/learner.pb.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "mellow/policy/v1/policy.pb.h"
#include "services/learner/rpc/gradient_proto_convert.h"
#include "services/learner/rpc/proto_convert.h"
#include "services/learner/rpc/sft_proto_convert.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/policy/proto_convert.h"
#include "services/wire/adapter_stream.h"
#include "services/wire/ppo_config.h"
#include "tests/fuzz/input.h"

namespace mellow {
namespace {

using google::protobuf::util::MessageDifferencer;

// More than any input has.
constexpr int64_t kMostBytes = 1 << 20;

const policy::SamplingContext& Context() {
  static const auto& context =
      *new policy::SamplingContext{.defaults = {}, .max_new_tokens = 512, .vocab_size = 400};
  return context;
}

void ReadSampling(const std::string& bytes, bool) {
  policy::v1::SamplingParams message;
  if (!message.ParseFromString(bytes)) return;
  const auto params = policy::FromProto(message, Context());
  if (!params.ok()) return;
  Require(params->Validate(Context().vocab_size).ok(), "what is taken can be sampled with");
  Require(params->max_new_tokens <= Context().max_new_tokens, "the node's limit holds");
  const policy::v1::SamplingParams written = policy::ToProto(*params);
  const auto again = policy::FromProto(written, Context());
  Require(again.ok() && policy::ToProto(*again).SerializeAsString() == written.SerializeAsString(),
          "settings read back");
}

void ReadGenerate(const std::string& bytes, bool) {
  policy::v1::GenerateRequest message;
  if (!message.ParseFromString(bytes)) return;
  (void)policy::FromProto(message.lane());
  const auto params = policy::FromProto(message.sampling(), Context());
  if (!params.ok()) return;
  for (const policy::v1::Prompt& prompt : message.prompts()) {
    const auto own =
        policy::WithLength(*params, prompt.max_new_tokens(), message.sampling(), Context());
    Require(!own.ok() || (own->max_new_tokens == prompt.max_new_tokens() &&
                          own->Validate(Context().vocab_size).ok()),
            "a prompt has its own length");
  }
  nn::T5Config config;
  config.d_model = 2;
  const auto head = policy::ValueHeadOf(message, *params, config);
  if (!head.ok()) return;
  Require((*head == nullptr) == message.value_head().empty(), "only what was sent");
  Require(*head == nullptr || (*head)->weight.size() == 2, "the head is of the model's width");
}

void ReadNode(const std::string& bytes, bool) {
  orchestrator::v1::RegisterNodeRequest message;
  if (!message.ParseFromString(bytes)) return;
  message.DiscardUnknownFields();
  const auto report = orchestrator::NodeReportFromProto(message);
  if (!report.ok()) return;
  orchestrator::NodeRegistry registry(absl::Seconds(10));
  const SteadyTime now = SteadyTime::Now();
  Require(registry.Register(*report, now).ok(), "the first node is taken");
  Require(registry.Register(*report, now).ok(), "so is its heartbeat");
  (void)registry.WhyNoneReady(report->role);
  (void)registry.Ready(report->role, now);
  (void)registry.LargestVersion();
  const auto nodes = registry.List();
  Require(nodes.size() == 1, "one node has one place");
  orchestrator::v1::Node shown;
  orchestrator::ToProto(nodes[0], &shown);
  Require(shown.node_id() == message.node_id() && shown.role() == message.role() &&
              shown.address() == message.address(),
          "a node is shown as it said");
  if (!std::isfinite(message.capacity().tokens_per_second())) return;
  Require(MessageDifferencer::Equals(shown.capacity(), message.capacity()),
          "a capacity is shown as it was said");
}

void ReadEvidence(const std::string& bytes, bool) {
  orchestrator::v1::PromotionEvidence message;
  if (!message.ParseFromString(bytes)) return;
  message.DiscardUnknownFields();
  const orchestrator::PromotionEvidence evidence = orchestrator::EvidenceFromProto(message);
  const auto kept = orchestrator::DecodeEvidence(orchestrator::EncodeEvidence(evidence));
  Require(kept.ok() && *kept == evidence, "the ledger keeps the evidence");
  orchestrator::v1::PromotionEvent event;
  orchestrator::ToProto(orchestrator::PromotionEvent{.evidence = *kept}, &event);
  Require(MessageDifferencer::Equals(event.evidence(), message), "evidence is shown as it came");
}

void ReadRunSpec(const std::string& bytes, bool) {
  orchestrator::v1::RunSpec message;
  if (!message.ParseFromString(bytes)) return;
  if (const auto config = orchestrator::RunConfigFromProto(message); config.ok()) {
    Require(config->Validate().ok(), "what is taken is valid");
    learner::v1::PpoConfig ppo;
    Require(ppo.ParseFromString(config->ppo) && wire::PpoConfigFromProto(ppo).ok(),
            "the learner takes what the orchestrator took");
    policy::v1::SamplingParams sampling;
    Require(sampling.ParseFromString(config->sampling.params), "sampling reads back");
  }
  if (const auto sft = orchestrator::SftSpecFromProto(message); sft.ok()) {
    learner::v1::SftSpec spec;
    Require(spec.ParseFromString(*sft), "a supervised run's settings read back");
    (void)learner::PlanFromProto(spec);
  }
}

void ReadOpenRun(const std::string& bytes, bool) {
  learner::v1::OpenRunRequest message;
  if (!message.ParseFromString(bytes)) return;
  const auto settings = learner::FromProto(message);
  if (!settings.ok()) return;
  const auto kept = learner::ParsePpoRunFile(
      learner::SerializePpoRunFile({.settings = *settings, .records = {}}));
  Require(kept.ok() && learner::CheckSameSettings(kept->settings, *settings).ok(),
          "a run is opened again as what it was");
}

void ReadTrain(const std::string& bytes, bool) {
  learner::v1::TrainRequest message;
  if (!message.ParseFromString(bytes)) return;
  Require(learner::WorkersFromProto(message).size() == static_cast<size_t>(message.workers_size()),
          "every worker counts");
  const learner::StepWeights current = {
      .version = 3, .value_head_sha256 = "ab", .reference_sha256 = "cd", .precision = "float32"};
  for (const learner::v1::Rollout& rollout : message.rollouts()) {
    const rl::Rollout read = learner::FromProto(rollout, message.sampler_precision(), current);
    Require(read.values.empty() || (rollout.adapter().version() == current.version &&
                                    rollout.value_head_sha256() == current.value_head_sha256),
            "values are of the weights of now");
    Require(
        read.reference_logprobs.empty() || rollout.reference().sha256() == current.reference_sha256,
        "reference log-probs are of the reference");
  }
}

void ReadSft(const std::string& bytes, bool) {
  learner::v1::StartSftRequest message;
  if (!message.ParseFromString(bytes)) return;
  const auto settings = learner::FromProto(message);
  if (!settings.ok()) return;
  Require(settings->plan.Validate().ok(), "what is taken is valid");
  learner::v1::SftSpec spec;
  Require(google::protobuf::util::JsonStringToMessage(settings->spec_json, &spec).ok() &&
              learner::PlanFromProto(spec).ok(),
          "a run's record gives its plan again");
}

template <typename Task, typename Request>
std::string Written(const Task& task) {
  Request request;
  learner::ToProto(task, &request);
  return request.SerializeAsString();
}

// A task of a learner for its worker. Numbers that are not any are compared as bytes.
template <typename Request>
void ReadTask(const std::string& bytes, bool) {
  Request message;
  if (!message.ParseFromString(bytes)) return;
  const auto task = learner::FromProto(message);
  if (!task.ok()) return;
  using Task = std::decay_t<decltype(*task)>;
  const std::string written = Written<Task, Request>(*task);
  Request again;
  Require(again.ParseFromString(written), "a task is a message");
  const auto read = learner::FromProto(again);
  Require(read.ok() && Written<Task, Request>(*read) == written, "a task reads back");
  Require(Written<Task, Request>(rl::SliceOf(*task, 0, task->sequences.size())) == written,
          "a slice of all rows is the task");
}

void ReadEvaluation(const std::string& bytes, bool) {
  learner::v1::EvaluateResponse message;
  if (!message.ParseFromString(bytes)) return;
  const rl::EvaluationTask task = {
      .values = true, .logprobs = true, .reference_logprobs = true, .full_kl = true};
  const auto rows = static_cast<size_t>(message.pairs_size());
  learner::v1::EvaluateResponse written;
  learner::ToProto(learner::FromProto(task, message), rows, &written);
  learner::v1::EvaluateResponse again;
  learner::ToProto(learner::FromProto(task, written), rows, &again);
  Require(again.SerializeAsString() == written.SerializeAsString(), "an answer reads back");
}

void CheckStreamError(const absl::Status& status) {
  Require(absl::IsInvalidArgument(status) || absl::IsDataLoss(status), "the stream is at fault");
}

// `repaired`, here and below: the header is made to fit to the data, whose hash nobody guesses.
void ReadAdapterStream(const std::string& bytes, bool repaired) {
  using Chunk = common::v1::AdapterChunk;
  std::vector<Chunk> chunks = ReadMessages<Chunk>(bytes);
  if (repaired && !chunks.empty() && chunks[0].has_header()) {
    const std::string data = DataOf(chunks);
    chunks[0].mutable_header()->set_data_bytes(static_cast<int64_t>(data.size()));
    chunks[0].mutable_header()->set_data_sha256(Sha256Hex(data));
  }
  const auto received = wire::ReceiveAdapter(ReaderOf(chunks), kMostBytes);
  if (!received.ok()) return CheckStreamError(received.status());
  std::vector<Chunk> sent;
  const auto write = [&](const Chunk& chunk) {
    sent.push_back(chunk);
    return true;
  };
  Require(
      wire::SendAdapter(received->ref, received->files, write, received->as, received->fetch_from)
          .ok(),
      "what came can be sent");
  const auto again = wire::ReceiveAdapter(ReaderOf(sent), kMostBytes);
  Require(again.ok() && again->files.config_json == received->files.config_json &&
              again->files.safetensors == received->files.safetensors &&
              again->as == received->as && again->fetch_from == received->fetch_from &&
              again->ref.SerializeAsString() == received->ref.SerializeAsString(),
          "an adapter passes through");
}

void ReadWeightStream(const std::string& bytes, bool repaired) {
  using Part = learner::v1::PutWeightsRequest;
  std::vector<Part> parts = ReadMessages<Part>(bytes);
  if (repaired && !parts.empty() && parts[0].has_header())
    parts[0].mutable_header()->set_adapter_bytes(static_cast<int64_t>(DataOf(parts).size()));
  const auto received = learner::ReceiveWeights(ReaderOf(parts));
  if (!received.ok()) return CheckStreamError(received.status());
  (void)learner::Unpack(*received);
  const auto adapter = adapters::ParsePeft(received->adapter);
  if (!adapter.ok() || adapter->modules.empty()) return;
  std::vector<Part> sent;
  const auto write = [&](const Part& part) {
    sent.push_back(part);
    return true;
  };
  Require(learner::SendWeights(learner::Pack({*adapter, received->value_head}), write).ok(),
          "weights can be sent");
  const auto again = learner::ReceiveWeights(ReaderOf(sent));
  Require(again.ok(), "weights come");
  const auto unpacked = learner::Unpack(*again);
  Require(
      unpacked.ok() && adapters::ContentHash(unpacked->adapter) == adapters::ContentHash(*adapter),
      "weights pass through");
}

void ReadGradientStream(const std::string& bytes, bool repaired) {
  using Part = learner::v1::ComputeGradientResponse;
  std::vector<Part> parts = ReadMessages<Part>(bytes);
  if (repaired && !parts.empty() && parts[0].has_header()) {
    const std::string data = DataOf(parts);
    parts[0].mutable_header()->set_gradient_bytes(static_cast<int64_t>(data.size()));
    parts[0].mutable_header()->set_gradient_sha256(Sha256Hex(data));
  }
  const auto received = learner::ReceiveGradient(ReaderOf(parts));
  if (!received.ok()) return CheckStreamError(received.status());
  // As bytes, since a number may be none.
  const auto send = [](const rl::GradientAnswer& answer, std::vector<Part>* sent) {
    std::string all;
    const auto write = [&](const Part& part) {
      all += part.SerializeAsString();
      sent->push_back(part);
      return true;
    };
    Require(learner::SendGradient(answer, write).ok(), "what came can be sent");
    return all;
  };
  std::vector<Part> sent;
  const std::string first = send(*received, &sent);
  const auto again = learner::ReceiveGradient(ReaderOf(sent));
  std::vector<Part> resent;
  Require(again.ok() && send(*again, &resent) == first, "a gradient passes through");
}

void ReadLogProbs(const std::string& bytes, bool) {
  policy::v1::ScoreTokensResponse message;
  if (!message.ParseFromString(bytes)) return;
  const auto got = orchestrator::LogProbsFromProto(message.logprobs());
  Require(got.size() == static_cast<size_t>(message.logprobs_size()), "one list per message");
  const orchestrator::CanarySuite suite = {.pairs = {}, .expected = {{-1, -2}, {-3}}};
  if (!orchestrator::CheckCanary(suite, got).ok()) return;
  Require(got.size() == 2 && got[0].size() == 2 && got[1].size() == 1, "the canary has its shape");
  for (size_t pair = 0; pair < got.size(); ++pair) {
    for (size_t token = 0; token < got[pair].size(); ++token)
      Require(std::abs(got[pair][token] - suite.expected[pair][token]) <= suite.bound,
              "the canary has its numbers");
  }
}

using Reader = void (*)(const std::string& bytes, bool repaired);
constexpr Reader kReaders[] = {
    ReadSampling,
    ReadGenerate,
    ReadNode,
    ReadEvidence,
    ReadRunSpec,
    ReadOpenRun,
    ReadTrain,
    ReadSft,
    ReadTask<learner::v1::ComputeGradientRequest>,
    ReadTask<learner::v1::EvaluateRequest>,
    ReadEvaluation,
    ReadAdapterStream,
    ReadWeightStream,
    ReadGradientStream,
    ReadLogProbs,
};

}  // namespace
}  // namespace mellow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const Chosen input = Choose(data, size, std::size(kReaders));
  kReaders[input.kind](input.bytes, input.again);
  return 0;
}
