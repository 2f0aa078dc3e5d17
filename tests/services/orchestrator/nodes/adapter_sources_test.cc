#include "services/orchestrator/nodes/adapter_sources.h"

#include <gtest/gtest.h>

#include <future>
#include <set>

#include "absl/strings/str_cat.h"

namespace mellow::orchestrator {
namespace {

using Place = AdapterSources::Place;

const AdapterRef kRef = {3, "abc"};

class AdapterSourcesTest : public ::testing::Test {
 protected:
  // A place that is there at once: the test's own time limit is for one that is not.
  Place Take(bool direct = false, const AdapterRef& ref = kRef) {
    const absl::StatusOr<Place> place = sources_.Take(ref, "me", direct, stop_.get_token());
    EXPECT_TRUE(place.ok()) << place.status();
    return place.value_or(Place{});
  }
  std::future<absl::StatusOr<Place>> TakeLater(bool direct = false) {
    return std::async(std::launch::async, [this, direct] {
      return sources_.Take(kRef, "me", direct, stop_.get_token());
    });
  }

  AdapterSources sources_;
  std::stop_source stop_;
};

TEST_F(AdapterSourcesTest, TheFirstGetItFromThisProcessAndTheOthersFromThem) {
  std::vector<Place> direct;
  for (int i = 0; i < AdapterSources::kDirect; ++i) direct.push_back(Take());
  for (const Place& place : direct) EXPECT_EQ(place.address, "");
  sources_.Done(direct[0], "a", absl::OkStatus());
  EXPECT_EQ(Take().address, "a") << "this process has room, and a node can send";
  EXPECT_EQ(Take().address, "a");
  sources_.Done(direct[1], "b", absl::OkStatus());
  EXPECT_EQ(Take().address, "b") << "two at a time each";
}

TEST_F(AdapterSourcesTest, AThousandNodesGetItInAFewRoundsAndFewFromHere) {
  int arrived = 0;
  int rounds = 0;
  int direct = 0;
  while (arrived < 1000) {
    const int room = arrived == 0 ? AdapterSources::kDirect : arrived * AdapterSources::kBranch;
    std::vector<Place> round;
    for (int i = 0; i < std::min(room, 1000 - arrived); ++i) round.push_back(Take());
    for (const Place& place : round) {
      direct += place.address.empty();
      sources_.Done(place, absl::StrCat("node-", arrived++), absl::OkStatus());
    }
    ++rounds;
  }
  EXPECT_EQ(direct, AdapterSources::kDirect);
  EXPECT_LE(rounds, 6);
}

TEST_F(AdapterSourcesTest, WhoFindsNoRoomWaitsForIt) {
  std::vector<Place> direct;
  for (int i = 0; i < AdapterSources::kDirect; ++i) direct.push_back(Take());
  auto waiting = TakeLater();
  sources_.Done(direct[0], "a", absl::OkStatus());
  EXPECT_EQ(waiting.get()->address, "a");
}

TEST_F(AdapterSourcesTest, AHungTransferDoesNotCountForever) {
  for (int i = 0; i < AdapterSources::kDirect; ++i) Take();
  const SteadyTime start = SteadyTime::Now();
  EXPECT_EQ(Take().address, "");
  EXPECT_LE(SteadyTime::Now() - start, AdapterSources::kPatience + absl::Seconds(20));
}

TEST_F(AdapterSourcesTest, StopEndsTheWait) {
  for (int i = 0; i < AdapterSources::kDirect; ++i) Take();
  auto waiting = TakeLater();
  stop_.request_stop();
  EXPECT_EQ(waiting.get().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(AdapterSourcesTest, NobodyIsSentToANodeThatCouldNotGiveIt) {
  sources_.Add(kRef, "a");
  sources_.Add(kRef, "b");
  const Place place = Take();
  EXPECT_EQ(place.address, "a");
  sources_.Done(place, "c", absl::UnavailableError("no route"));
  EXPECT_EQ(Take().address, "b");
  EXPECT_EQ(Take(/*direct=*/true).address, "") << "who asked in vain gets it from this process";
}

TEST_F(AdapterSourcesTest, WhereNodesCannotReachEachOtherAllGetItFromHere) {
  for (int i = 0; i < AdapterSources::kMaxFailures; ++i) {
    const std::string address = absl::StrCat("node-", i);
    sources_.Add(kRef, address);
    const Place place = Take();
    EXPECT_EQ(place.address, address);
    sources_.Done(place, "c", absl::UnavailableError("no route"));
  }
  sources_.Add(kRef, "another");
  EXPECT_EQ(Take().address, "");
  EXPECT_EQ(Take(false, {4, "def"}).address, "") << "for other adapters too";
}

TEST_F(AdapterSourcesTest, WhoHasItNoMoreOrWasGivenUpSaysNothingOfTheNetwork) {
  sources_.Add(kRef, "z");
  for (int i = 0; i < AdapterSources::kMaxFailures; ++i) {
    sources_.Add(kRef, "a");
    sources_.Done(Take(), "c", absl::NotFoundError("not here"));
    sources_.Done(Take(), "c", absl::CancelledError("given up"));
  }
  EXPECT_EQ(Take().address, "z");
}

TEST_F(AdapterSourcesTest, ANodeThatRestartedIsNotSentToItself) {
  sources_.Add(kRef, "me");
  EXPECT_EQ(Take().address, "") << "in a life before, this address had it";
}

TEST_F(AdapterSourcesTest, AnotherAdapterHasItsOwnSources) {
  sources_.Add(kRef, "a");
  EXPECT_EQ(Take(false, {4, "def"}).address, "");
  EXPECT_EQ(Take().address, "a");
}

}  // namespace
}  // namespace mellow::orchestrator
