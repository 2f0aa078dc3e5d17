// The work of a step on a worker, and in groups: the bits of the trainer alone.

#include "common/rl/group_worker.h"

#include <functional>
#include <limits>
#include <random>
#include <string>

#include "common/adapters/peft.h"
#include "common/base/sum_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/source_tree.h"

namespace mellow::rl {
namespace group_worker_test {

using ::testing::HasSubstr;

const std::string kModel = mellow::SourceTree("/tests/parity/golden/ppo/gated");
const std::string kAdapter = mellow::SourceTree("/tests/parity/golden/ppo/gated-qv");

std::unique_ptr<GroupWorker> MakeWorker(int threads) {
  auto worker = GroupWorker::Create(kModel, {.threads = threads});
  EXPECT_TRUE(worker.ok()) << worker.status();
  return worker.ok() ? *std::move(worker) : nullptr;
}

TrainedWeights SomeWeights(const GroupWorker& worker) {
  TrainedWeights weights{*adapters::ReadPeftFolder(kAdapter), {}};
  for (int i = 0; i < worker.model_config().d_model; ++i)
    weights.value_head.weight.push_back(0.01f * static_cast<float>(i % 7 - 3));
  return weights;
}

GradientTask SomeTask(int rows) {
  std::mt19937 random(static_cast<uint32_t>(rows));
  std::normal_distribution<float> normal(0, 1);
  GradientTask task;
  task.scale = 0.1;
  for (int i = 0; i < rows; ++i) {
    const auto ids = [&](size_t n) {
      std::vector<int32_t> out(n);
      for (int32_t& id : out) id = static_cast<int32_t>(2 + random() % 90);
      return out;
    };
    task.sequences.query_ids.push_back(ids(2 + random() % 20));
    const size_t length = 1 + random() % 12;
    task.sequences.response_ids.push_back(ids(length));
    task.mask.emplace_back(length, 1);
    const auto numbers = [&](Rows* out, float mean) {
      std::vector<float> row(length);
      for (float& x : row) x = mean + normal(random);
      out->push_back(std::move(row));
    };
    numbers(&task.old_logprobs, -4);
    numbers(&task.old_values, 0);
    numbers(&task.advantages, 0);
    numbers(&task.returns, 0);
    numbers(&task.importance_weights, 1);
  }
  return task;
}

TEST(GroupWorkerTest, AMiniBatchIsTheTreeOfItsGroupsWhateverTheirCutAndThreads) {
  const std::unique_ptr<GroupWorker> one = MakeWorker(1), other = MakeWorker(3);
  for (GroupWorker* const worker : {one.get(), other.get()})
    ASSERT_TRUE(worker->PutWeights("w", SomeWeights(*worker)).ok());
  std::mt19937 random(5);
  for (const int rows : {1, 2, 3, 5, 8, 11}) {
    const GradientTask task = SomeTask(rows);
    const auto whole = one->Gradient("w", task);
    ASSERT_TRUE(whole.ok()) << whole.status();
    for (int trial = 0; trial < 3; ++trial) {
      GradientAnswer sum;
      std::vector<std::vector<float>> slots(
          static_cast<size_t>(SumTreeSlots(static_cast<size_t>(rows))));
      const auto compute = [&](size_t first, size_t last, int slot) {
        if (last - first > 1 && random() % 3 != 0) return false;
        GroupWorker* const worker = random() % 2 == 0 ? one.get() : other.get();
        auto part = worker->Gradient("w", SliceOf(task, first, last));
        EXPECT_TRUE(part.ok()) << part.status();
        for (size_t i = first; i < last; ++i) {
          sum.logprobs.push_back(part->logprobs[i - first]);
          sum.values.push_back(part->values[i - first]);
          sum.entropies.push_back(part->entropies[i - first]);
        }
        slots[static_cast<size_t>(slot)] = std::move(part->gradient);
        return true;
      };
      const auto add = [&](int slot) {
        std::vector<float>& to = slots[static_cast<size_t>(slot)];
        for (size_t i = 0; i < to.size(); ++i) to[i] += slots[static_cast<size_t>(slot) + 1][i];
      };
      SumTree(size_t{0}, static_cast<size_t>(rows), 0, compute, add);
      sum.gradient = slots[0];
      EXPECT_TRUE(sum == *whole) << rows << " rows, trial " << trial;
    }
    EXPECT_GT(whole->gradient.size(), whole->logprobs[0].size());
  }
}

TEST(GroupWorkerTest, EvaluationsAreThoseOfTheRowAlone) {
  const std::unique_ptr<GroupWorker> worker = MakeWorker(2);
  ASSERT_TRUE(worker->PutWeights("w", SomeWeights(*worker)).ok());
  const EvaluationTask task{.sequences = SomeTask(5).sequences,
                            .values = true,
                            .logprobs = true,
                            .reference_logprobs = true,
                            .full_kl = true};
  const auto whole = worker->Evaluate("w", /*reference=*/"", task);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_NE(whole->logprobs, whole->reference_logprobs);
  for (size_t i = 0; i < 5; ++i) {
    const auto alone = worker->Evaluate("w", "", SliceOf(task, i, i + 1));
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_EQ(alone->values[0], whole->values[i]);
    EXPECT_EQ(alone->logprobs[0], whole->logprobs[i]);
    EXPECT_EQ(alone->reference_logprobs[0], whole->reference_logprobs[i]);
    EXPECT_EQ(alone->full_kl[0], whole->full_kl[i]);
  }
}

TEST(GroupWorkerTest, KeepsTheWeightsThatWereUsedLast) {
  const std::unique_ptr<GroupWorker> worker = MakeWorker(1);
  const TrainedWeights weights = SomeWeights(*worker);
  const GradientTask task = SomeTask(1);
  const std::vector<std::string> names = {"a", "b", "c", "d"};
  for (size_t i = 0; i < GroupWorker::kKept; ++i)
    ASSERT_TRUE(worker->PutWeights(names[i], weights).ok());
  ASSERT_TRUE(worker->Gradient("a", task).ok());
  ASSERT_TRUE(worker->PutWeights("d", weights).ok());
  EXPECT_TRUE(worker->Has("a"));
  EXPECT_FALSE(worker->Has("b"));
  const absl::Status missing = worker->Gradient("b", task).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("weights b"));
}

TEST(GroupWorkerTest, NamesWhatIsWrongWithATask) {
  const std::unique_ptr<GroupWorker> worker = MakeWorker(1);
  ASSERT_TRUE(worker->PutWeights("w", SomeWeights(*worker)).ok());
  const auto error_of = [&](const std::function<void(GradientTask*)>& spoil) {
    GradientTask task = SomeTask(3);
    spoil(&task);
    const absl::Status status = worker->Gradient("w", task).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(error_of([](auto* t) { *t = {}; }), HasSubstr("sequences"));
  EXPECT_THAT(error_of([](auto* t) { t->sequences.response_ids.pop_back(); }),
              HasSubstr("3 queries and 2 responses"));
  EXPECT_THAT(error_of([](auto* t) { t->sequences.query_ids[1].clear(); }),
              HasSubstr("query_ids: row 1 is empty"));
  EXPECT_THAT(error_of([](auto* t) { t->sequences.response_ids[2][0] = 1 << 30; }),
              HasSubstr("response_ids: row 2 holds id"));
  EXPECT_THAT(error_of([](auto* t) { t->advantages[0].push_back(1); }),
              HasSubstr("advantages: row 0"));
  EXPECT_THAT(error_of([](auto* t) { t->mask.clear(); }), HasSubstr("mask: 0 rows"));
  const absl::Status no_head = worker->Gradient("", SomeTask(1)).status();
  EXPECT_EQ(no_head.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(no_head.message()), HasSubstr("value head"));

  TrainedWeights narrow = SomeWeights(*worker);
  narrow.value_head.weight.pop_back();
  EXPECT_EQ(worker->PutWeights("n", narrow).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace group_worker_test
}  // namespace mellow::rl
