// The small files of folders that others may have written, or that a crash or a full disk left: the
// index of a model's shards, a reference of the Hub's cache, a value head, the parts of a
// checkpoint, a learner's epoch, columns of the ledger.

#include <filesystem>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/nn/value_head.h"
#include "common/nn/weights/hub_cache.h"
#include "common/nn/weights/model_folder.h"
#include "common/nn/weights/safetensors.h"
#include "common/rl/trainer_numbers.h"
#include "common/train/trainer_numbers.h"
#include "services/learner/base/checkpoint_store.h"
#include "services/learner/base/owner_epoch.h"
#include "services/learner/base/step_log.h"
#include "services/learner/ppo/step_records.h"
#include "services/learner/sft/sft_archive.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/round_trip.h"
#include "tests/testing/temp_folder.h"

namespace mellow {
namespace {

// A folder of the process that is made once, and removed at the end.
std::string Folder(const std::string& name) {
  static const testing::TempFolder root;
  std::string path = root / name;
  std::filesystem::create_directories(path);
  return path;
}

void ReadIndex(const std::string& bytes, bool) {
  static const std::string folder = [] {
    std::string made = Folder("model");
    PutFile(made + "/a.safetensors",
            nn::SerializeSafetensors({{"x", nn::HostTensor::FromFloat32({1, 2}, {2})},
                                      {"y", nn::HostTensor::FromFloat32({3}, {1})}},
                                     {}));
    return made;
  }();
  PutFile(folder + "/model.safetensors.index.json", bytes);
  const auto files = nn::WeightFiles(folder);
  const auto tensors = nn::LoadModelTensors(folder);
  if (tensors.ok()) {
    Require(files.ok(), "what is read has names");
    for (const auto& [name, tensor] : *tensors)
      Require(name == "x" || name == "y", "a tensor is of its shard");
  }
  if (!files.ok()) return;
  for (const std::string& file : *files)
    Require(!absl::StrContains(file, '/') && file != "..", "shards lie beside their index");
}

void ReadHubReference(const std::string& bytes, bool) {
  (void)nn::ParseHubId(bytes);
  static const std::string cache = [] {
    std::string made = Folder("hub");
    Folder("hub/models--org--name/refs");
    Folder("hub/models--org--name/snapshots/abc");
    return made;
  }();
  PutFile(cache + "/models--org--name/refs/main", bytes);
  const auto found = nn::FindSnapshot({.repository = "org/name"}, cache);
  if (found.ok())
    Require(*found == cache + "/models--org--name/snapshots/abc", "a reference names a snapshot");
  if (const auto id = nn::ParseHubId(bytes)) {
    Require(!absl::StrContains(absl::StrCat(id->repository, id->revision), ".."),
            "an id leads nowhere else");
    (void)nn::FindSnapshot(*id, cache);
  }
}

void ReadHead(const std::string& bytes, bool) {
  constexpr int64_t kWidth = 2;
  const auto head = nn::ParseValueHead(bytes, kWidth);
  static const std::string path = Folder("head") + "/value_head";
  PutFile(path, bytes);
  const auto from_file = nn::ReadValueHead(path, kWidth);
  if (!head.ok()) return;
  Require(head->weight.size() == kWidth, "a head is of its width");
  const std::string written = nn::SerializeValueHead(*head);
  const auto again = nn::ParseValueHead(written, kWidth);
  Require(again.ok() && nn::SerializeValueHead(*again) == written, "a head reads back");
  Require(from_file.ok() && nn::SerializeValueHead(*from_file) == written,
          "a file says what its bytes say");
}

void ReadManifest(const std::string& bytes, bool) {
  static const std::string root = [] {
    const std::string folder = Folder("checkpoints/step-00000001");
    PutFile(folder + "/run.json", "{}");
    return Folder("checkpoints");
  }();
  const std::string folder = learner::CheckpointStore::FolderOf(root, 1);
  PutFile(folder + "/manifest.json", bytes);
  const absl::Status verified = learner::VerifyManifest(folder);
  static const auto store = *learner::CheckpointStore::Open(root, {});
  const auto newest = store.Newest();
  if (!newest.ok()) return Require(absl::IsFailedPrecondition(verified), "only another format");
  Require(newest->has_value() == verified.ok(), "a checkpoint is what its manifest says");
}

// `checked`: the lines are records, which get their checksums here.
void ReadStepLog(const std::string& bytes, bool checked) {
  using Records = std::map<int64_t, learner::PpoStepRecord>;
  using Log = learner::StepLog<learner::PpoStepRecord>;
  static const std::string path = Folder("run") + "/steps.jsonl";
  std::string text = bytes;
  if (checked) {
    text.clear();
    for (const absl::string_view line : absl::StrSplit(bytes, '\n'))
      absl::StrAppend(&text, Sha256Hex(line).substr(0, 16), " ", line, "\n");
  }
  PutFile(path, text);
  const auto text_of = [](const Records& records) {
    std::string all;
    for (const auto& [step, record] : records)
      absl::StrAppend(&all, step, learner::SerializeRecord(record), "\n");
    return all;
  };
  Records known = {{3, {.step = 3, .version = 4, .sha256 = "ab"}}};
  Records records;
  int64_t damaged = 0;
  auto log = Log::Open(path, known, &records, &damaged);
  Require(log.ok(), "a log is read whatever is in it");
  Require(records.rbegin()->first == 3, "the checkpoint's step is the last");
  const std::string before = text_of(records);
  Records again;
  Require(Log::Open(path, known, &again, &damaged).ok() && damaged == 0 && text_of(again) == before,
          "a log that was opened is whole");
  known = {{4, {.step = 4, .version = 5, .sha256 = "cd"}}};
  Require(log->Append({known[4]}).ok(), "a step is written");
  Require(Log::Open(path, known, &again, &damaged).ok() && damaged == 0,
          "a log that was written is whole");
  records[4] = known[4];
  Require(text_of(again) == text_of(records), "a step comes behind the others");
}

std::string TextOf(const learner::FinishedSft& finished) {
  const learner::SftStatus& s = finished.status;
  return absl::StrCat(learner::SerializeSftRunFile(finished.file), s.result.sha256, " ", s.step,
                      " ", s.length.warmup_steps, " ", s.trainable_parameters, " ",
                      s.total_parameters, " ", s.train_pairs, " ", s.dev_pairs, " ",
                      s.truncated_sources, " ", s.truncated_targets);
}

void ReadFinishedRun(const std::string& bytes, bool) {
  static const std::string root = Folder("sft");
  static const std::string file = Folder("sft/run") + "/finished.json";
  PutFile(file, bytes);
  const auto finished = learner::ReadFinished(root, "run");
  if (!finished.ok()) return;
  Require(finished->file.run_id == "run", "the file is of its run");
  std::filesystem::remove(file);
  Require(learner::KeepFinished(root, *finished).ok(), "what was read can be kept");
  const auto again = learner::ReadFinished(root, "run");
  Require(again.ok() && TextOf(*again) == TextOf(*finished), "a finished run reads back");
}

void ReadEpoch(const std::string& bytes, bool) {
  static const std::string folder = Folder("epoch");
  PutFile(folder + "/.epoch", bytes);
  const auto claimed = learner::OwnerEpoch(folder).Claim(0, "a b");
  if (!claimed.ok()) return;
  Require(*claimed > 0, "an owner has a number");
  learner::OwnerEpoch reopened(folder);
  Require(reopened.Check(*claimed).ok(), "the owner is known after a restart");
  Require(*claimed == 1 || !reopened.Check(*claimed - 1).ok(), "an earlier one is refused");
  Require(reopened.Claim(*claimed, "a b").value_or(0) == *claimed, "it stays the owner");
}

void ReadLedgerColumns(const std::string& bytes, bool) {
  using namespace orchestrator;  // NOLINT: its codec
  CheckRoundTrip(bytes, UnpackInts, [](const auto& values) { return PackInts(values); });
  CheckRoundTrip(bytes, UnpackFloats, [](const auto& values) { return PackFloats(values); });
  CheckRoundTrip(bytes, DecodeCanary, EncodeCanary);
  CheckRoundTrip(bytes, DecodePins, EncodePins);
  CheckRoundTrip(bytes, DecodeEvidence, EncodeEvidence);
  CheckRoundTrip(
      bytes,
      [](const std::string& text) -> absl::StatusOr<StepRecord> {
        StepRecord step;
        const absl::Status status = DecodeStep(text, &step);
        if (!status.ok()) return status;
        return step;
      },
      EncodeStep);
  CheckRoundTrip(
      bytes,
      [](const std::string& text) -> absl::StatusOr<GuardTrip> {
        GuardTrip trip;
        const absl::Status status = DecodeFinding(text, &trip);
        if (!status.ok()) return status;
        return trip;
      },
      EncodeFinding);
}

void ReadTrainerNumbers(const std::string& bytes, bool) {
  const json::Value made_with = {{"seed", 3}, {"module_alphas", json::Value::MakeObject()}};
  CheckRoundTrip(
      bytes,
      [&](const std::string& text) -> absl::StatusOr<rl::TrainerNumbers> {
        rl::TrainerNumbers numbers;
        const absl::Status status = train::ParseTrainerNumbers(
            text, "trainer.json", made_with,
            [&](const json::Value& state) { return rl::ReadTrainerNumbers(state, &numbers); });
        if (!status.ok()) return status;
        Require(numbers.random.position <= rl::NumpyRandom::kStateWords, "a position is inside");
        return numbers;
      },
      [&](const rl::TrainerNumbers& numbers) {
        return train::SerializeTrainerNumbers(made_with, rl::ToJson(numbers));
      });
}

using Reader = void (*)(const std::string& bytes, bool again);
constexpr Reader kReaders[] = {
    ReadIndex,       ReadHubReference, ReadHead,          ReadManifest,       ReadStepLog,
    ReadFinishedRun, ReadEpoch,        ReadLedgerColumns, ReadTrainerNumbers,
};

}  // namespace
}  // namespace mellow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const Chosen input = Choose(data, size, std::size(kReaders));
  kReaders[input.kind](input.bytes, input.again);
  return 0;
}
