// A step in which one allocation fails, at every place where one can: it ends with the undisturbed
// hash or with an error that says to try again, never with another hash.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "common/rl/group_worker.h"
#include "services/learner/rpc/learner_service.h"
#include "services/learner/rpc/proto_convert.h"
#include "tests/services/learner/learner_fixture.h"
#include "tests/services/learner/sft_fixture.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/temp_folder.h"

namespace {

// Only the thread that arms it counts, so that the test's own bookkeeping elsewhere goes on.
thread_local int64_t allocations = 0;  // of tensors and of what our kernels work in
thread_local int64_t fail_at = 0;      // 0: never

}  // namespace

// A sanitizer's, in builds with one.
extern "C" [[gnu::weak]] int __interceptor_posix_memalign(void** block, size_t alignment,
                                                          size_t bytes);

// What libtorch and AlignedBytes call; neither goes through operator new.
extern "C" int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
  using Function = int (*)(void**, size_t, size_t);
  static const Function real = __interceptor_posix_memalign != nullptr
                                   ? &__interceptor_posix_memalign
                                   : reinterpret_cast<Function>(dlsym(RTLD_NEXT, "posix_memalign"));
  return ++allocations == fail_at ? ENOMEM : real(block, alignment, bytes);
}

namespace mellow::learner {
namespace {

using ::mellow::testing::FailingNew;

class FailedAllocationTest : public ::testing::Test {
 protected:
  static absl::StatusOr<std::unique_ptr<PpoSession>> Open(const std::string& folder) {
    // One thread: all of a step's allocations are in the thread that arms the failure.
    return PpoSession::Open({kModel, folder, /*keep_checkpoints=*/2, /*trainer=*/{.threads = 1}},
                            *MakeSettings("run"));
  }

  testing::TempFolder root_;
};

TEST_F(FailedAllocationTest, AStepGivesTheUndisturbedHashOrAnError) {
  const std::string before = root_ / "before";
  std::string expected;
  {
    auto session = Open(before);
    ASSERT_TRUE(session.ok()) << session.status();
    ASSERT_TRUE((*session)->Train(1, MakeRollouts(1), 1).ok());
  }
  const auto copy = [&](const std::string& name) {
    std::filesystem::copy(before, root_ / name, std::filesystem::copy_options::recursive);
    return Open(root_ / name);
  };
  int64_t whole = 0;
  {
    auto session = copy("undisturbed");
    ASSERT_TRUE(session.ok()) << session.status();
    allocations = 0;
    const auto record = (*session)->Train(2, MakeRollouts(2), 2);
    whole = allocations;
    ASSERT_TRUE(record.ok()) << record.status();
    expected = record->sha256;
  }
  ASSERT_GT(whole, 300);

  int errors = 0;
  for (int64_t at = 1; at <= whole; ++at) {
    SCOPED_TRACE(at);
    auto session = copy("disturbed");
    ASSERT_TRUE(session.ok()) << session.status();
    allocations = 0;
    fail_at = at;
    auto record = (*session)->Train(2, MakeRollouts(2), 2);
    fail_at = 0;
    if (!record.ok()) {
      ++errors;
      EXPECT_TRUE(absl::IsResourceExhausted(record.status())) << record.status();
      if ((*session)->spoiled()) {
        session = Open(root_ / "disturbed");
        ASSERT_TRUE(session.ok()) << session.status();
      }
      if ((*session)->last_step() == 1) record = (*session)->Train(2, MakeRollouts(2), 2);
    }
    ASSERT_NE((*session)->Recorded(2), nullptr) << record.status();
    EXPECT_EQ((*session)->Recorded(2)->sha256, expected);
    session->reset();
    std::filesystem::remove_all(root_ / "disturbed");
  }
  EXPECT_GT(errors, 120) << "or nothing was disturbed";
}

TEST_F(FailedAllocationTest, AFineTuningStepGivesTheUndisturbedHashOrAnError) {
  const std::string data = root_ / "pairs.jsonl";
  WritePairs(data);
  const auto open = [&](const std::string& folder) {
    return SftSession::Open({kSftModel, folder, /*keep_checkpoints=*/2, {.threads = 1}},
                            {"run", "spec", MakePlan(data)});
  };
  const auto say = [](const std::string&) {};
  const std::string before = root_ / "before";
  {
    auto session = open(before);
    ASSERT_TRUE(session.ok()) << session.status();
    while ((*session)->records().size() < 3) ASSERT_TRUE((*session)->Advance(say).ok());
  }
  // Two steps, the second with a measurement and a checkpoint, as the runner does them: what fails
  // in any way is dropped, and goes on from its checkpoint.
  int errors = 0;
  const auto train = [&](const std::string& name, int64_t at) {
    std::filesystem::copy(before, root_ / name, std::filesystem::copy_options::recursive);
    auto session = open(root_ / name);
    EXPECT_TRUE(session.ok()) << session.status();
    allocations = 0;
    fail_at = at;
    absl::Status status;
    try {
      while (status.ok() && (*session)->records().size() < 5)
        status = (*session)->Advance(say).status();
    } catch (const std::exception& e) {
      status = absl::InternalError(e.what());
    }
    fail_at = 0;
    const int64_t counted = allocations;
    if (!status.ok()) {
      ++errors;
      session->reset();
      session = open(root_ / name);
      EXPECT_TRUE(session.ok()) << session.status();
    }
    while (!(*session)->done()) {
      const auto record = (*session)->Advance(say);
      EXPECT_TRUE(record.ok()) << record.status();
      if (!record.ok()) break;
    }
    const auto result = (*session)->Finish();
    EXPECT_TRUE(result.ok()) << result.status();
    session->reset();
    std::filesystem::remove_all(root_ / name);
    return std::make_pair(result.ok() ? result->sha256 : "", counted);
  };
  const auto [expected, whole] = train("undisturbed", 0);
  ASSERT_GT(whole, 300);
  for (int64_t at = 1; at <= whole; ++at) {
    SCOPED_TRACE(at);
    EXPECT_EQ(train("disturbed", at).first, expected);
  }
  EXPECT_GT(errors, 120) << "or nothing was disturbed";
}

// A worker that loads its model in another precision, which fails at each allocation of its end and
// at some before.
TEST_F(FailedAllocationTest, AWorkerWhoseModelDidNotLoadLoadsItWithTheNextTask) {
  const rl::Sequences sequences = {{{5, 6, 1}}, {{7, 1}}};
  const auto worker = rl::GroupWorker::Create(kModel, {.threads = 1});
  ASSERT_TRUE(worker.ok()) << worker.status();
  // Needs the model, and ends there.
  rl::GradientTask no_weights{.sequences = sequences, .mask = {{1, 1}}};
  for (rl::Rows* rows : {&no_weights.old_logprobs, &no_weights.old_values, &no_weights.advantages,
                         &no_weights.returns})
    *rows = {{0.5f, -1.0f}};
  const auto load = [&](nn::WeightType precision) {
    no_weights.precision = precision;
    return (*worker)->Gradient("nowhere", no_weights).status();
  };
  const auto evaluate = [&] {
    return (*worker)->Evaluate(
        "", "", {.sequences = sequences, .logprobs = true, .precision = nn::WeightType::kBFloat16});
  };
  const int64_t before = FailingNew::allocations();
  ASSERT_TRUE(absl::IsFailedPrecondition(load(nn::WeightType::kBFloat16)));
  const int64_t whole = FailingNew::allocations() - before;
  const auto expected = evaluate();
  ASSERT_TRUE(expected.ok()) << expected.status();
  ASSERT_TRUE(absl::IsFailedPrecondition(load(nn::WeightType::kFloat32)));

  int refusals = 0;
  for (int64_t at = whole; at > 0; at -= at > whole - 100 ? 1 : std::max<int64_t>(1, whole / 30)) {
    SCOPED_TRACE(at);
    // In a process of its own, as below.
    const pid_t child = fork();
    if (child == 0) {
      FailingNew::Arm(at);
      const absl::Status loaded = load(nn::WeightType::kBFloat16);
      FailingNew::Disarm();
      const auto again = evaluate();
      if (!again.ok() || *again != *expected) _exit(2);
      _exit(absl::IsResourceExhausted(loaded) ? 1 : 0);
    }
    int ended = 0;
    ASSERT_EQ(waitpid(child, &ended, 0), child);
    ASSERT_TRUE((WIFEXITED(ended) && WEXITSTATUS(ended) <= 1) ||
                (WIFSIGNALED(ended) && WTERMSIG(ended) == SIGABRT))
        << ended;
    refusals += WIFEXITED(ended) && WEXITSTATUS(ended) == 1;
  }
  EXPECT_GT(refusals, 10) << "or nothing was disturbed";
}

TEST_F(FailedAllocationTest, TheServiceSaysThatItHasNoMemoryAndTheStepCanBeRepeated) {
  obs::Metrics metrics;
  ComputeTurns turns;
  const nn::ModelHash hash(kModel);
  LearnerServiceImpl service({kModel, root_.path(), 2, {.threads = 1}}, &hash, &turns, &metrics);
  const auto open = [&](const std::string& run) {
    v1::OpenRunRequest request;
    request.set_run_id(run);
    EXPECT_TRUE(
        google::protobuf::util::JsonStringToMessage(kConfig, request.mutable_config()).ok());
    v1::OpenRunResponse response;
    return service.OpenRun(nullptr, &request, &response);
  };
  v1::TrainRequest request;
  request.set_step(1);
  request.set_new_version(1);
  for (const rl::Rollout& rollout : MakeRollouts(1)) {
    v1::Rollout* out = request.add_rollouts();
    out->mutable_query_ids()->Add(rollout.query_ids.begin(), rollout.query_ids.end());
    out->mutable_response_ids()->Add(rollout.response_ids.begin(), rollout.response_ids.end());
    out->set_score(rollout.score);
  }
  const auto train = [&](const std::string& run, v1::TrainResponse* response) {
    request.set_run_id(run);
    return service.Train(nullptr, &request, response);
  };
  v1::TrainResponse undisturbed;
  ASSERT_TRUE(open("undisturbed").ok());
  const int64_t before = FailingNew::allocations();
  ASSERT_TRUE(train("undisturbed", &undisturbed).ok());
  const int64_t whole = FailingNew::allocations() - before;

  int refusals = 0;
  for (int64_t at = 1; at <= whole; at += whole / 50) {
    SCOPED_TRACE(at);
    const std::string run = absl::StrCat("run-", at);
    // In a process of its own: where a library may not throw, it dies, and is started again.
    const pid_t child = fork();
    if (child == 0) {
      if (!open(run).ok()) _exit(3);
      v1::TrainResponse response;
      FailingNew::Arm(at);
      const grpc::Status status = train(run, &response);
      FailingNew::Disarm();
      _exit(status.ok() ? 0 : status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ? 1 : 2);
    }
    int ended = 0;
    ASSERT_EQ(waitpid(child, &ended, 0), child);
    ASSERT_TRUE((WIFEXITED(ended) && WEXITSTATUS(ended) <= 1) ||
                (WIFSIGNALED(ended) && WTERMSIG(ended) == SIGABRT))
        << ended;
    refusals += WIFEXITED(ended) && WEXITSTATUS(ended) == 1;
    ASSERT_TRUE(open(run).ok());
    v1::TrainResponse response;
    ASSERT_TRUE(train(run, &response).ok());
    EXPECT_EQ(response.adapter().sha256(), undisturbed.adapter().sha256());
  }
  EXPECT_GT(refusals, 10) << "or nothing was disturbed";
}

}  // namespace
}  // namespace mellow::learner
