#include "common/nn/weights/pickle_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/nn/weights/torch_zip_builder.h"

namespace mellow::nn {
namespace pickle_machine_test {

using testing::Dict;
using testing::Global;
using ::testing::HasSubstr;
using testing::Int;
using testing::Little;
using testing::Pickle;
using testing::Storage;
using testing::Tensor;
using testing::Text;

const std::string kTensor = Tensor(Storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1});

void ExpectUnimplemented(const std::string& pickle, const std::string& words) {
  const absl::Status status = UnpickleTensors(pickle).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(words));
}

void ExpectCorrupt(const std::string& what, const std::string& pickle) {
  const absl::Status status = UnpickleTensors(pickle).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
}

TEST(PickleMachineTest, ReadsADictOfTensors) {
  const auto tensors = UnpickleTensors(
      Pickle(Dict({{"a", kTensor}, {"b", Tensor(Storage("LongStorage", "x", 9), 4, {}, {})}})));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].dtype, DType::kFloat32);
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*tensors)[0].strides, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ((*tensors)[1].dtype, DType::kInt64);
  EXPECT_EQ((*tensors)[1].storage_key, "x");
  EXPECT_EQ((*tensors)[1].storage_elements, 9);
  EXPECT_EQ((*tensors)[1].offset, 4);
}

TEST(PickleMachineTest, ReadsOrderedDictsParametersMemosAndAttributes) {
  const std::string ordered = Global("collections", "OrderedDict") + ")R";
  const std::string parameter =
      Global("torch._utils", "_rebuild_parameter") + "(" + kTensor + "\x88" + ordered + "tR";
  // The tensor is memorized as 7 and recalled under a second name; _metadata is set on the dict
  // with BUILD.
  const std::string body = ordered + "q\x01(" + Text("a") + parameter + "r" + Little(7, 4) +
                           Text("tied") + "j" + Little(7, 4) + "u}" + Text("_metadata") + ordered +
                           "sb";
  const auto tensors = UnpickleTensors(Pickle(body));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[1].name, "tied");
  EXPECT_EQ((*tensors)[1].storage_key, "0");
  // An OrderedDict made of a list of pairs.
  const std::string pairs =
      Global("collections", "OrderedDict") + "]" + Text("a") + kTensor + "\x86" + "a\x85R";
  EXPECT_TRUE(UnpickleTensors(Pickle(pairs)).ok()) << UnpickleTensors(Pickle(pairs)).status();
}

TEST(PickleMachineTest, ReadsTheOpcodesOfNewerProtocols) {
  const std::string name = std::string("\x8c\x01") + "a\x94";
  const std::string global =
      std::string("\x8c\x0b") + "collections" + "\x8c\x0b" + "OrderedDict" + "\x93)R";
  const std::string body = "\x80\x04\x95" + Little(99, 8) + global + name + kTensor + "s.";
  const auto tensors = UnpickleTensors(body);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ((*tensors)[0].name, "a");
}

TEST(PickleMachineTest, NeverRunsAnythingAndNamesWhatWasAsked) {
  ExpectUnimplemented(Pickle(Global("os", "system") + "(" + Text("true") + "tR"), "os.system");
  ExpectUnimplemented(Pickle(Global("builtins", "eval") + Text("1") + "\x85R"), "builtins.eval");
  ExpectUnimplemented(Pickle("(" + Text("x") + "i" + "os\nsystem\n"), "opcode 0x69");
  ExpectUnimplemented(
      Pickle(Dict({{"a", Tensor(Storage("ComplexFloatStorage", "0", 6), 0, {6}, {1})}})),
      "torch.ComplexFloatStorage");
}

TEST(PickleMachineTest, SaysWhatIsNoDictOfTensors) {
  ExpectUnimplemented(Pickle(kTensor), "no dict");
  ExpectUnimplemented(Pickle(Dict({{"epoch", Int(3)}})), "\"epoch\" is not a tensor");
  ExpectUnimplemented(Pickle(Dict({{"state_dict", Dict({{"a", kTensor}})}})),
                      "\"state_dict\" is not a tensor");
  ExpectUnimplemented(Pickle("}" + Int(1) + kTensor + "s"), "no text");
  ExpectUnimplemented("\x80\x07}.", "protocol 7");
}

TEST(PickleMachineTest, RefusesWhatMakesNoSense) {
  ExpectCorrupt("empty", "");
  ExpectCorrupt("only a header", "\x80\x02");
  ExpectCorrupt("nothing on the stack", Pickle(""));
  ExpectCorrupt("pop of nothing", Pickle("0"));
  ExpectCorrupt("tuple without a mark", Pickle("Nt"));
  ExpectCorrupt("pops through a mark", Pickle("N(0"));
  ExpectCorrupt("append to nothing", Pickle("Na"));
  ExpectCorrupt("append to a number", Pickle(Int(1) + "Na"));
  ExpectCorrupt("a dict of three", Pickle("(NNNd"));
  ExpectCorrupt("items of three", Pickle("}(NNNu"));
  ExpectCorrupt("recall of nothing", Pickle("h\x05"));
  ExpectCorrupt("memo of nothing", Pickle("q\x05"));
  ExpectCorrupt("two results", Pickle("}}"));
  ExpectCorrupt("an open mark", Pickle("(}"));
  ExpectCorrupt("a call of a number", Pickle(Int(1) + ")R"));
  ExpectCorrupt("a call without arguments", Pickle(Global("collections", "OrderedDict") + "NR"));
  ExpectCorrupt("a text longer than the file", Pickle("X" + Little(0xffffffff, 4) + "abc"));
  ExpectCorrupt("a text of 2^64 bytes", Pickle("\x8d" + Little(~0ull, 8) + "abc"));
  ExpectCorrupt("a global without an end",
                "\x80\x02"
                "cos");
  ExpectCorrupt("a persistent id that is a text", Pickle(Text("0") + "Q"));
  ExpectCorrupt("a storage of negative size",
                Pickle(Dict({{"a", Tensor(Storage("FloatStorage", "0", -1), 0, {6}, {1})}})));
  ExpectCorrupt("a negative offset",
                Pickle(Dict({{"a", Tensor(Storage("FloatStorage", "0", 6), -1, {6}, {1})}})));
  ExpectCorrupt("a negative size",
                Pickle(Dict({{"a", Tensor(Storage("FloatStorage", "0", 6), 0, {-6}, {1})}})));
  ExpectCorrupt("a negative stride",
                Pickle(Dict({{"a", Tensor(Storage("FloatStorage", "0", 6), 5, {6}, {-1})}})));
  ExpectCorrupt("more sizes than strides",
                Pickle(Dict({{"a", Tensor(Storage("FloatStorage", "0", 6), 0, {2, 3}, {1})}})));
  ExpectCorrupt(
      "65 dimensions",
      Pickle(Dict({{"a", Tensor(Storage("FloatStorage", "0", 6), 0, std::vector<int64_t>(65, 1),
                                std::vector<int64_t>(65, 1))}})));
  ExpectCorrupt("a tensor of no storage", Pickle(Dict({{"a", Tensor("N", 0, {6}, {1})}})));
  ExpectCorrupt("a parameter of no tensor",
                Pickle(Global("torch._utils", "_rebuild_parameter") + "N\x85R"));
  ExpectCorrupt("a name twice", Pickle(Dict({{"a", kTensor}, {"a", kTensor}})));
}

TEST(PickleMachineTest, DeepNestingAndCyclesDoNotHurt) {
  ExpectUnimplemented(Pickle("N" + std::string(1'000'000, '\x85')), "no dict");
  ExpectUnimplemented(Pickle("]q\x01"
                             "h\x01"
                             "a"),
                      "no dict");
}

TEST(PickleMachineTest, UnreasonableSizesAreRefused) {
  ExpectCorrupt("ten million values", Pickle(std::string(10'000'000, 'N')));
  ExpectCorrupt("a pickle of 20 MB", Pickle(Text(std::string(20'000'000, 'x'))));
  // One long list, memorized, and a call that copies it again and again.
  std::string bomb = "](" + std::string(100'000, 'N') + "eq\x01" + "0";
  for (int i = 0; i < 100'000; ++i) bomb += Global("collections", "OrderedDict") + "h\x01\x85R0";
  ExpectCorrupt("a call that copies a long list", Pickle(bomb));
}

}  // namespace pickle_machine_test
}  // namespace mellow::nn
