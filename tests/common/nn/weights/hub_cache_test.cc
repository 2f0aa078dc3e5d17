#include "common/nn/weights/hub_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace hub_cache_test {

using ::testing::HasSubstr;

constexpr char kCommit[] = "7bcac572ce56db69c1ea7c8af255c5d7c9672fc2";

class HubCacheTest : public ::testing::Test {
 protected:
  // A snapshot as the Hub's client lays it out: links into the blobs, references to commits.
  void SetUp() override {
    const std::string model = cache_ / "models--google--flan-t5-base";
    snapshot_ = model + "/snapshots/" + kCommit;
    for (const char* part : {"/blobs", "/refs/pr"})
      std::filesystem::create_directories(model + part);
    std::filesystem::create_directories(snapshot_);
    ASSERT_TRUE(WriteFileSynced(model + "/blobs/abc", "{}").ok());
    std::filesystem::create_symlink("../../blobs/abc", snapshot_ + "/config.json");
    for (const char* reference : {"/refs/main", "/refs/pr/3"})
      ASSERT_TRUE(WriteFileSynced(model + reference, kCommit).ok());
  }

  absl::StatusOr<std::string> Find(const std::string& name) {
    return FindFolder(name, cache_.path());
  }

  testing::TempFolder cache_;
  std::string snapshot_;
};

TEST_F(HubCacheTest, FollowsMainARevisionOrACommit) {
  for (const std::string& name :
       {std::string("google/flan-t5-base"), std::string("google/flan-t5-base@main"),
        std::string("google/flan-t5-base@pr/3"), std::string("google/flan-t5-base@") + kCommit}) {
    const auto found = Find(name);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, snapshot_) << name;
    EXPECT_EQ(*ReadFile(*found + "/config.json"), "{}");
  }
}

TEST_F(HubCacheTest, APathThatExistsIsMeantItself) {
  EXPECT_EQ(*Find(snapshot_), snapshot_);
  EXPECT_EQ(*Find(cache_.path()), cache_.path());
}

TEST_F(HubCacheTest, WhatIsNoNameIsLeftToTheReader) {
  for (const char* path : {"/nowhere", "./google/flan", "../google", "a/b/c", "nowhere", "", "a//b",
                           "-a/b", ".a/b", "a/..", "a b/c", "google/flan@../../x", "a/b@"})
    EXPECT_EQ(*Find(path), path);
}

TEST_F(HubCacheTest, ANameWithoutAnOrganizationIsTheHubsWhereTheCacheHasIt) {
  const std::string model = cache_ / "models--t5-base";
  std::filesystem::create_directories(model + "/refs");
  std::filesystem::create_directories(model + "/snapshots/" + kCommit);
  EXPECT_EQ(*Find("t5-base"), "t5-base");
  ASSERT_TRUE(WriteFileSynced(model + "/refs/main", kCommit).ok());
  EXPECT_EQ(*Find("t5-base"), model + "/snapshots/" + kCommit);
}

TEST_F(HubCacheTest, WhatIsNotThereGetsTheCommandThatFetchesIt) {
  for (const char* name : {"google/flan-t5-large", "google/flan-t5-base@v2"}) {
    const absl::Status status = Find(name).status();
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::string("deploy/tools/fetch_models.sh ") + name));
    EXPECT_THAT(std::string(status.message()), HasSubstr(cache_.path()));
  }
}

TEST_F(HubCacheTest, AReferenceThatLeavesTheFolderIsRefused) {
  ASSERT_TRUE(
      WriteFileSynced(cache_ / "models--google--flan-t5-base/refs/main", "../../../etc").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Find("google/flan-t5-base").status()));
}

TEST(HubCacheFolderTest, IsWhatTheEnvironmentSays) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"})
    unsetenv(name);
  setenv("HOME", "/home/u", 1);
  EXPECT_EQ(HubCacheFolder(), "/home/u/.cache/huggingface/hub");
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(HubCacheFolder(), "/xdg/huggingface/hub");
  setenv("HF_HOME", "/hf", 1);
  EXPECT_EQ(HubCacheFolder(), "/hf/hub");
  setenv("HUGGINGFACE_HUB_CACHE", "/before", 1);  // its name until 2023
  EXPECT_EQ(HubCacheFolder(), "/before");
  setenv("HF_HUB_CACHE", "/cache", 1);
  EXPECT_EQ(HubCacheFolder(), "/cache");
}

}  // namespace hub_cache_test
}  // namespace mellow::nn
