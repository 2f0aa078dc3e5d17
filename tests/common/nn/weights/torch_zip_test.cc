#include "common/nn/weights/torch_zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/common/nn/weights/flipped_bytes.h"
#include "tests/common/nn/weights/torch_zip_builder.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace torch_zip_test {

using testing::Checkpoint;
using testing::Dict;
using ::testing::ElementsAre;
using testing::Floats;
using ::testing::HasSubstr;
using testing::Little;
using testing::Pickle;
using testing::Storage;
using testing::Tensor;
using testing::Zip;

absl::StatusOr<TensorMap> Parse(std::string file) {
  return ParseTorchZip(std::make_shared<const std::string>(std::move(file)), "some.bin");
}

std::string OneTensor(int64_t offset, const std::vector<int64_t>& shape,
                      const std::vector<int64_t>& strides, int64_t storage_elements = 6) {
  return Pickle(Dict({{"t", Tensor(Storage("FloatStorage", "0", storage_elements, "mps:0"), offset,
                                   shape, strides)}}));
}

const std::string kPlain = OneTensor(0, {2, 3}, {3, 1});

TEST(TorchZipTest, ReadsAFileAndKeepsItMapped) {
  mellow::testing::TempFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "m.bin", Checkpoint(kPlain)).ok());
  auto tensors = ReadTorchZip(folder / "m.bin");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  const HostTensor tensor = tensors->at("t");
  tensors->clear();
  EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_THAT(tensor.ToFloat32(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(TorchZipTest, ReadsZip64AndArchivesWithAComment) {
  EXPECT_THAT(Parse(Checkpoint(kPlain, /*zip64=*/true))->at("t").ToFloat32(),
              ElementsAre(1, 2, 3, 4, 5, 6));
  const std::string commented =
      Zip({{"x/data.pkl", kPlain}, {"x/data/0", Floats({1, 2, 3, 4, 5, 6})}}, false,
          "PK\x05\x06 is no end");
  const auto read = Parse(commented);
  ASSERT_TRUE(read.ok()) << read.status();
}

TEST(TorchZipTest, ViewsBecomeContiguous) {
  EXPECT_THAT(Parse(Checkpoint(OneTensor(2, {3}, {1})))->at("t").ToFloat32(), ElementsAre(3, 4, 5));
  EXPECT_THAT(Parse(Checkpoint(OneTensor(0, {3, 2}, {1, 3})))->at("t").ToFloat32(),
              ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(Parse(Checkpoint(OneTensor(1, {2}, {3})))->at("t").ToFloat32(), ElementsAre(2, 5));
  EXPECT_THAT(Parse(Checkpoint(OneTensor(0, {2, 1, 3}, {3, 77, 1})))->at("t").ToFloat32(),
              ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Parse(Checkpoint(OneTensor(4, {2, 2}, {0, 1})))->at("t").ToFloat32(),
              ElementsAre(5, 6, 5, 6));
  EXPECT_THAT(Parse(Checkpoint(OneTensor(5, {}, {})))->at("t").ToFloat32(), ElementsAre(6));
  EXPECT_THAT(Parse(Checkpoint(OneTensor(0, {3, 1, 2}, {1, 1, 3})))->at("t").ToFloat32(),
              ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(Parse(Checkpoint(OneTensor(6, {0, 5}, {5, 1})))->at("t").elements(), 0);
}

TEST(TorchZipTest, ViewsOutsideTheirStorageAreDataLoss) {
  const int64_t huge = int64_t{1} << 62;
  for (const std::string& pickle :
       {OneTensor(0, {7}, {1}), OneTensor(6, {1}, {1}), OneTensor(0, {2, 3}, {4, 1}),
        OneTensor(huge, {2}, {1}), OneTensor(0, {2}, {huge}), OneTensor(0, {3, 3}, {huge, huge}),
        OneTensor(INT64_MAX, {1}, {1}), OneTensor(0, {huge, 4}, {0, 0}), OneTensor(0, {huge}, {0}),
        OneTensor(0, {7}, {1}, 7), OneTensor(0, {2}, {1}, huge)}) {
    const absl::Status status = Parse(Checkpoint(pickle)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("some.bin: t: "));
  }
}

TEST(TorchZipTest, ExpandedViewsCannotTakeFarMoreMemoryThanTheFile) {
  const absl::Status status = Parse(Checkpoint(OneTensor(0, {int64_t{1} << 40}, {0}))).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 1000; ++i)
    many.emplace_back(std::to_string(i),
                      Tensor(Storage("FloatStorage", "0", 6), 0, {1'000'000}, {0}));
  EXPECT_TRUE(absl::IsDataLoss(Parse(Checkpoint(Pickle(Dict(many)))).status()));
}

TEST(TorchZipTest, DamagedBytesAreNoticedByTheirChecksum) {
  std::string file = Checkpoint(kPlain);
  file[file.find(Floats({4}))] ^= 1;
  const absl::Status status = Parse(file).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("checksum"));
}

TEST(TorchZipTest, AChecksumThatWasNotComputedIsNotChecked) {
  const std::string data = Floats({1, 2, 3, 4, 5, 6});
  const auto read =
      Parse(Zip({{"m/data.pkl", kPlain}, {"m/data/0", data, 0, 0, testing::Crc32(data)}}));
  EXPECT_TRUE(read.ok()) << read.status();
}

TEST(TorchZipTest, SaysWhatItDoesNotRead) {
  const std::string data = Floats({1, 2, 3, 4, 5, 6});
  const struct {
    std::string file;
    const char* words;
  } kCases[] = {
      {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.rest", "before 1.6"},
      {Zip({{"m/data.pkl", kPlain, 8}, {"m/data/0", data}}), "compressed"},
      {Zip({{"m/data.pkl", kPlain, 0, 1}, {"m/data/0", data}}), "encrypted"},
      {Zip({{"m/data.pkl", kPlain}, {"m/byteorder", "big"}, {"m/data/0", data}}), "big-endian"},
  };
  for (const auto& test : kCases) {
    const absl::Status status = Parse(test.file).status();
    EXPECT_TRUE(absl::IsUnimplemented(status)) << test.words << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.words));
  }
}

TEST(TorchZipTest, BrokenArchivesAreDataLoss) {
  const std::string data = Floats({1, 2, 3, 4, 5, 6});
  for (const std::string& file : {
           std::string("no zip at all"),
           Zip({}),
           Zip({{"m/other", "x"}}),
           Zip({{"m/data.pkl", kPlain}}),
           Zip({{"m/data.pkl", kPlain}, {"m/data/1", data}}),
           Zip({{"m/data.pkl", kPlain}, {"m/data/0", data}, {"m/data/0", data}}),
           Zip({{"m/data.pkl", kPlain}, {"m/data/0", data.substr(1)}}),
       }) {
    const absl::Status status = Parse(file).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("some.bin"));
  }
}

TEST(TorchZipTest, EntriesThatShareBytesAreRefused) {
  std::string file = Zip({{"a/1", "same bytes"}, {"a/2", "same bytes"}});
  // The second directory record points at the first entry, whose name is changed to fit both: two
  // names, one place.
  const size_t second = file.rfind("PK\x01\x02");
  file.replace(second + 42, 4, Little(0, 4));
  file.replace(second + 46, 3, "a/1");
  EXPECT_TRUE(absl::IsDataLoss(Parse(file).status()));
}

TEST(TorchZipTest, EveryTruncationIsDataLoss) {
  for (const bool zip64 : {false, true}) {
    const std::string file = Checkpoint(kPlain, zip64);
    for (size_t length = 0; length < file.size(); ++length) {
      const absl::Status status = Parse(file.substr(0, length)).status();
      ASSERT_TRUE(absl::IsDataLoss(status)) << length << " " << status;
    }
  }
}

TEST(TorchZipTest, NoFlippedByteCrashes) {
  for (const bool zip64 : {false, true})
    ParseWithFlippedBytes(Checkpoint(OneTensor(0, {3, 2}, {1, 3}), zip64), Parse);
}

// The pickle is behind its checksum above, so its own flips need an archive made around them.
TEST(TorchZipTest, NoFlippedByteOfThePickleCrashes) {
  const std::string pickle = OneTensor(0, {3, 2}, {1, 3});
  for (size_t i = 0; i < pickle.size(); ++i) {
    for (int mask = 1; mask < 256; mask += 2) {
      std::string flipped = pickle;
      flipped[i] ^= static_cast<char>(mask);
      const auto read = Parse(Checkpoint(flipped));
      if (!read.ok()) {
        ASSERT_TRUE(absl::IsDataLoss(read.status()) || absl::IsUnimplemented(read.status()))
            << read.status();
      }
    }
  }
}

}  // namespace torch_zip_test
}  // namespace mellow::nn
