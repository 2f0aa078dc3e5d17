#include "services/wire/adapter_stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace mellow::wire {
namespace {

std::vector<common::v1::AdapterChunk> Chunks(size_t bytes) {
  common::v1::AdapterRef ref;
  ref.set_version(7);
  ref.set_sha256("abc");
  std::vector<common::v1::AdapterChunk> chunks;
  EXPECT_TRUE(
      SendAdapter(ref, {"{}", std::string(bytes, 'x')}, [&](const common::v1::AdapterChunk& chunk) {
        chunks.push_back(chunk);
        return true;
      }).ok());
  return chunks;
}

absl::StatusOr<ReceivedAdapter> Receive(const std::vector<common::v1::AdapterChunk>& chunks,
                                        int64_t max_bytes = 1 << 30) {
  size_t next = 0;
  return ReceiveAdapter(
      [&](common::v1::AdapterChunk* chunk) {
        if (next == chunks.size()) return false;
        *chunk = chunks[next++];
        return true;
      },
      max_bytes);
}

TEST(AdapterStreamTest, WhatIsSentArrives) {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{1} << 20, (size_t{2} << 20) + 3}) {
    const auto received = Receive(Chunks(bytes));
    ASSERT_TRUE(received.ok()) << received.status();
    EXPECT_EQ(received->ref.version(), 7);
    EXPECT_EQ(received->files.config_json, "{}");
    EXPECT_EQ(received->files.safetensors, std::string(bytes, 'x'));
  }
}

TEST(AdapterStreamTest, SaysWhatItIsPublishedAsAndThatIsOneThing) {
  for (const Publication as : {Publication::kNewest, Publication::kCandidate,
                               Publication::kChampion, Publication::kReference}) {
    std::vector<common::v1::AdapterChunk> chunks;
    ASSERT_TRUE(SendAdapter(
                    {}, {"{}", "x"},
                    [&](const common::v1::AdapterChunk& chunk) {
                      chunks.push_back(chunk);
                      return true;
                    },
                    as)
                    .ok());
    EXPECT_EQ(Receive(chunks)->as, as);
    chunks[0].mutable_header()->set_reference(true);
    const bool another = as == Publication::kCandidate || as == Publication::kChampion;
    EXPECT_EQ(absl::IsInvalidArgument(Receive(chunks).status()), another);
  }
}

TEST(AdapterStreamTest, ChunksAreAtMostOneMebibyte) {
  for (const auto& chunk : Chunks(5 << 20)) EXPECT_LE(chunk.data().size(), size_t{1} << 20);
}

TEST(AdapterStreamTest, DamageIsSeen) {
  auto chunks = Chunks(100);
  chunks[1].mutable_data()->at(50) = 'y';
  EXPECT_TRUE(absl::IsDataLoss(Receive(chunks).status()));
  chunks = Chunks(100);
  chunks.pop_back();
  EXPECT_TRUE(absl::IsDataLoss(Receive(chunks).status()));
  chunks = Chunks(100);
  chunks.push_back(chunks.back());
  EXPECT_TRUE(absl::IsDataLoss(Receive(chunks).status()));
}

TEST(AdapterStreamTest, BadOrderAndBadSizesAreRefused) {
  auto chunks = Chunks(100);
  EXPECT_TRUE(absl::IsInvalidArgument(Receive({}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Receive({chunks[1], chunks[0]}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Receive({chunks[0], chunks[0]}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Receive(chunks, /*max_bytes=*/99).status()));
  chunks[0].mutable_header()->set_data_bytes(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(Receive(chunks).status()));
}

TEST(AdapterStreamTest, AClosedPeerEndsTheSending) {
  EXPECT_TRUE(absl::IsUnavailable(
      SendAdapter({}, {"{}", "x"}, [](const common::v1::AdapterChunk&) { return false; })));
}

}  // namespace
}  // namespace mellow::wire
