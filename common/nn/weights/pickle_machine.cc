#include "common/nn/weights/pickle_machine.h"

#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/nn/weights/pickle_opcodes.h"

namespace mellow::nn {
namespace {

// A checkpoint of a thousand tensors needs some thirty thousand; the bound keeps a hostile file
// from taking gigabytes.
constexpr size_t kMaxValues = size_t{1} << 22;
constexpr size_t kMaxPickleBytes = size_t{16} << 20;
constexpr size_t kMaxRank = 64;  // torch's own

enum class Kind {
  kNone,
  kBool,
  kInt,
  kFloat,
  kText,
  kTuple,
  kList,
  kDict,
  kOrderedDict,
  kRebuildTensor,
  kRebuildParameter,
  kStorageType,
  kStorage,
  kTensor
};

// Values name each other by index into one vector, so that neither deep nesting nor a cycle can
// hurt the destructor.
using ValueId = uint32_t;

struct Value {
  Kind kind = Kind::kNone;
  DType dtype = DType::kFloat32;  // kStorageType, kStorage
  int64_t number = 0;             // kInt, kBool; kStorage: elements; kTensor: index into tensors_
  absl::string_view text;         // kText; kStorage: key
  std::vector<ValueId> items;     // kTuple, kList; kDict: key, value, key, value...
};

struct KnownGlobal {
  absl::string_view module;
  absl::string_view name;
  Kind kind;
  DType dtype = DType::kFloat32;
};

constexpr KnownGlobal kGlobals[] = {
    {"collections", "OrderedDict", Kind::kOrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", Kind::kRebuildTensor},
    {"torch._utils", "_rebuild_parameter", Kind::kRebuildParameter},
    {"torch", "FloatStorage", Kind::kStorageType, DType::kFloat32},
    {"torch", "HalfStorage", Kind::kStorageType, DType::kFloat16},
    {"torch", "BFloat16Storage", Kind::kStorageType, DType::kBFloat16},
    {"torch", "DoubleStorage", Kind::kStorageType, DType::kFloat64},
    {"torch", "LongStorage", Kind::kStorageType, DType::kInt64},
    {"torch", "IntStorage", Kind::kStorageType, DType::kInt32},
    {"torch", "ShortStorage", Kind::kStorageType, DType::kInt16},
    {"torch", "CharStorage", Kind::kStorageType, DType::kInt8},
    {"torch", "ByteStorage", Kind::kStorageType, DType::kUInt8},
    {"torch", "BoolStorage", Kind::kStorageType, DType::kBool},
};

absl::Status Corrupt(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("pickle: ", what));
}

class Machine {
 public:
  explicit Machine(absl::string_view pickle) : pickle_(pickle) {}

  absl::StatusOr<std::vector<PickledTensor>> Run() {
    while (!stopped_) {
      MELLOW_ASSIGN_OR_RETURN(const uint64_t opcode, Number(1));
      MELLOW_RETURN_IF_ERROR(Execute(static_cast<uint8_t>(opcode)));
    }
    return Result();
  }

 private:
  absl::Status Execute(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        return CheckProtocol();
      case kFrame:
        return Number(8).status();
      case kStop:
        stopped_ = true;
        return absl::OkStatus();
      case kMark:
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case kPop:
        return Pop().status();
      case kPopMark:
        return PopToMark().status();
      case kNone:
        return Push({});
      case kNewTrue:
        return Push({.kind = Kind::kBool, .number = 1});
      case kNewFalse:
        return Push({.kind = Kind::kBool});
      case kBinInt:
        return PushInt(4);
      case kBinInt1:
        return PushInt(1);
      case kBinInt2:
        return PushInt(2);
      case kLong1:
        return PushLong();
      case kBinFloat:
        return PushFloat();
      case kBinUnicode:
      case kBinString:
      case kBinBytes:
        return PushText(4);
      case kShortBinUnicode:
      case kShortBinString:
      case kShortBinBytes:
        return PushText(1);
      case kBinUnicode8:
        return PushText(8);
      case kEmptyTuple:
        return Push({.kind = Kind::kTuple});
      case kTuple:
        return PushMarked(Kind::kTuple);
      case kTuple1:
        return PushTuple(1);
      case kTuple2:
        return PushTuple(2);
      case kTuple3:
        return PushTuple(3);
      case kEmptyList:
        return Push({.kind = Kind::kList});
      case kList:
        return PushMarked(Kind::kList);
      case kAppend:
        return Extend(Kind::kList, 1);
      case kAppends:
        return ExtendMarked(Kind::kList);
      case kEmptyDict:
        return Push({.kind = Kind::kDict});
      case kDict:
        return PushMarked(Kind::kDict);
      case kSetItem:
        return Extend(Kind::kDict, 2);
      case kSetItems:
        return ExtendMarked(Kind::kDict);
      case kBinPut:
        return Put(1);
      case kLongBinPut:
        return Put(4);
      case kMemoize:
        return PutAt(memo_.size());
      case kBinGet:
        return Get(1);
      case kLongBinGet:
        return Get(4);
      case kGlobal:
        return PushGlobalLines();
      case kStackGlobal:
        return PushStackGlobal();
      case kBinPersId:
        return PushStorage();
      case kReduce:
        return Reduce();
      case kBuild:
        return Build();
      default:
        return absl::UnimplementedError(
            absl::StrFormat("pickle opcode 0x%02x at byte %d", opcode, position_ - 1));
    }
  }

  // --- bytes ---

  absl::StatusOr<absl::string_view> Bytes(uint64_t count) {
    if (count > pickle_.size() - position_) return Corrupt("ends in the middle (truncated?)");
    const absl::string_view bytes = pickle_.substr(position_, count);
    position_ += count;
    return bytes;
  }

  absl::StatusOr<uint64_t> Number(int width) {
    MELLOW_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(width));
    uint64_t value = 0;
    for (int i = 0; i < width; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    return value;
  }

  absl::StatusOr<absl::string_view> Line() {
    const size_t end = pickle_.find('\n', position_);
    if (end == absl::string_view::npos) return Corrupt("ends in the middle (truncated?)");
    const absl::string_view line = pickle_.substr(position_, end - position_);
    position_ = end + 1;
    return line;
  }

  absl::Status CheckProtocol() {
    MELLOW_ASSIGN_OR_RETURN(const uint64_t protocol, Number(1));
    if (protocol < 2 || protocol > 5)
      return absl::UnimplementedError(absl::StrCat("pickle protocol ", protocol));
    return absl::OkStatus();
  }

  // --- stack ---

  absl::Status Push(Value value) {
    if (values_.size() == kMaxValues) return Corrupt("unreasonably many values");
    stack_.push_back(static_cast<ValueId>(values_.size()));
    values_.push_back(std::move(value));
    return absl::OkStatus();
  }

  // Values above the innermost mark.
  size_t Available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  absl::StatusOr<ValueId> Top() {
    if (Available() == 0) return Corrupt("takes from an empty stack");
    return stack_.back();
  }

  absl::StatusOr<ValueId> Pop() {
    MELLOW_ASSIGN_OR_RETURN(const ValueId top, Top());
    stack_.pop_back();
    return top;
  }

  absl::StatusOr<std::vector<ValueId>> PopMany(size_t count) {
    if (Available() < count) return Corrupt("takes from an empty stack");
    std::vector<ValueId> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  absl::StatusOr<std::vector<ValueId>> PopToMark() {
    if (marks_.empty()) return Corrupt("no mark on the stack");
    MELLOW_ASSIGN_OR_RETURN(std::vector<ValueId> items, PopMany(Available()));
    marks_.pop_back();
    return items;
  }

  // --- plain values ---

  absl::Status PushInt(int width) {
    MELLOW_ASSIGN_OR_RETURN(const uint64_t value, Number(width));
    // Four bytes are signed, fewer are not.
    return Push({.kind = Kind::kInt,
                 .number = width == 4 ? static_cast<int32_t>(value) : static_cast<int64_t>(value)});
  }

  absl::Status PushLong() {
    MELLOW_ASSIGN_OR_RETURN(const uint64_t width, Number(1));
    if (width > 8) return absl::UnimplementedError("pickle: an integer of more than 64 bits");
    MELLOW_ASSIGN_OR_RETURN(uint64_t value, Number(static_cast<int>(width)));
    if (width > 0 && width < 8 && ((value >> (8 * width - 1)) & 1) != 0)
      value |= ~uint64_t{0} << (8 * width);
    return Push({.kind = Kind::kInt, .number = static_cast<int64_t>(value)});
  }

  absl::Status PushFloat() {
    MELLOW_RETURN_IF_ERROR(Number(8).status());
    return Push({.kind = Kind::kFloat});  // tensors have none, so nobody asks for its value
  }

  absl::Status PushText(int width) {
    MELLOW_ASSIGN_OR_RETURN(const uint64_t length, Number(width));
    MELLOW_ASSIGN_OR_RETURN(const absl::string_view text, Bytes(length));
    return Push({.kind = Kind::kText, .text = text});
  }

  // --- containers ---

  absl::Status PushTuple(size_t count) {
    MELLOW_ASSIGN_OR_RETURN(std::vector<ValueId> items, PopMany(count));
    return Push({.kind = Kind::kTuple, .items = std::move(items)});
  }

  absl::Status PushMarked(Kind kind) {
    MELLOW_ASSIGN_OR_RETURN(std::vector<ValueId> items, PopToMark());
    if (kind == Kind::kDict && items.size() % 2 != 0) return Corrupt("a key without a value");
    return Push({.kind = kind, .items = std::move(items)});
  }

  absl::Status Extend(Kind kind, size_t count) {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ValueId> items, PopMany(count));
    return AddItems(kind, items);
  }

  absl::Status ExtendMarked(Kind kind) {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ValueId> items, PopToMark());
    return AddItems(kind, items);
  }

  absl::Status AddItems(Kind kind, const std::vector<ValueId>& items) {
    MELLOW_ASSIGN_OR_RETURN(const ValueId container, Top());
    Value& value = values_[container];
    if (value.kind != kind) return Corrupt("adds items to what holds none");
    if (kind == Kind::kDict && items.size() % 2 != 0) return Corrupt("a key without a value");
    value.items.insert(value.items.end(), items.begin(), items.end());
    return absl::OkStatus();
  }

  // --- memo ---

  absl::Status Put(int width) {
    MELLOW_ASSIGN_OR_RETURN(const uint64_t index, Number(width));
    return PutAt(index);
  }

  absl::Status PutAt(uint64_t index) {
    MELLOW_ASSIGN_OR_RETURN(const ValueId top, Top());
    if (memo_.size() == kMaxValues) return Corrupt("an unreasonably large memo");
    memo_[index] = top;
    return absl::OkStatus();
  }

  absl::Status Get(int width) {
    MELLOW_ASSIGN_OR_RETURN(const uint64_t index, Number(width));
    const auto found = memo_.find(index);
    if (found == memo_.end()) return Corrupt("recalls what was never memorized");
    stack_.push_back(found->second);
    return absl::OkStatus();
  }

  // --- globals and what they make ---

  absl::Status PushGlobal(absl::string_view module, absl::string_view name) {
    for (const KnownGlobal& global : kGlobals) {
      if (module == global.module && name == global.name)
        return Push({.kind = global.kind, .dtype = global.dtype});
    }
    return absl::UnimplementedError(absl::StrCat(
        "pickle needs ", absl::CEscape(module.substr(0, 100)), ".",
        absl::CEscape(name.substr(0, 100)), ", which is not part of a plain dict of tensors"));
  }

  absl::Status PushGlobalLines() {
    MELLOW_ASSIGN_OR_RETURN(const absl::string_view module, Line());
    MELLOW_ASSIGN_OR_RETURN(const absl::string_view name, Line());
    return PushGlobal(module, name);
  }

  absl::Status PushStackGlobal() {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ValueId> names, PopMany(2));
    if (values_[names[0]].kind != Kind::kText || values_[names[1]].kind != Kind::kText)
      return Corrupt("a global without a name");
    return PushGlobal(values_[names[0]].text, values_[names[1]].text);
  }

  // The persistent id is ("storage", type, key, device, elements); the device is where it was, not
  // where it is now.
  absl::Status PushStorage() {
    MELLOW_ASSIGN_OR_RETURN(const ValueId id, Pop());
    const Value& tuple = values_[id];
    if (tuple.kind != Kind::kTuple || tuple.items.size() != 5)
      return Corrupt("an unknown persistent id");
    const Value& tag = values_[tuple.items[0]];
    const Value& type = values_[tuple.items[1]];
    const Value& key = values_[tuple.items[2]];
    const Value& elements = values_[tuple.items[4]];
    if (tag.kind != Kind::kText || tag.text != "storage" || type.kind != Kind::kStorageType ||
        key.kind != Kind::kText || elements.kind != Kind::kInt || elements.number < 0)
      return Corrupt("an unknown persistent id");
    return Push(
        {.kind = Kind::kStorage, .dtype = type.dtype, .number = elements.number, .text = key.text});
  }

  absl::Status Reduce() {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<ValueId> call, PopMany(2));
    if (values_[call[1]].kind != Kind::kTuple) return Corrupt("a call without arguments");
    const std::vector<ValueId> arguments = values_[call[1]].items;
    MELLOW_RETURN_IF_ERROR(Charge(arguments.size()));
    switch (values_[call[0]].kind) {
      case Kind::kOrderedDict:
        return PushOrderedDict(arguments);
      case Kind::kRebuildTensor:
        return PushTensor(arguments);
      case Kind::kRebuildParameter:
        if (arguments.empty() || values_[arguments[0]].kind != Kind::kTensor)
          return Corrupt("a parameter without a tensor");
        stack_.push_back(arguments[0]);
        return absl::OkStatus();
      default:
        return Corrupt("calls what is no function");
    }
  }

  // A call copies what its arguments hold, and a few bytes can repeat a call: bounds the copies of
  // the whole run.
  absl::Status Charge(size_t items) {
    copied_ += items;
    return copied_ > kMaxValues ? Corrupt("unreasonably many values") : absl::OkStatus();
  }

  absl::Status PushOrderedDict(const std::vector<ValueId>& arguments) {
    Value dict = {.kind = Kind::kDict};
    if (arguments.size() > 1) return Corrupt("a dict of more than one argument");
    if (arguments.size() == 1) {
      if (values_[arguments[0]].kind != Kind::kList)
        return Corrupt("a dict that is not made of a list");
      MELLOW_RETURN_IF_ERROR(Charge(values_[arguments[0]].items.size()));
      for (const ValueId pair : values_[arguments[0]].items) {
        const Value& value = values_[pair];
        if ((value.kind != Kind::kTuple && value.kind != Kind::kList) || value.items.size() != 2)
          return Corrupt("a dict that is not made of pairs");
        dict.items.insert(dict.items.end(), value.items.begin(), value.items.end());
      }
    }
    return Push(std::move(dict));
  }

  std::optional<std::vector<int64_t>> Sizes(ValueId id) const {
    if (values_[id].kind != Kind::kTuple || values_[id].items.size() > kMaxRank)
      return std::nullopt;
    std::vector<int64_t> sizes;
    for (const ValueId item : values_[id].items) {
      if (values_[item].kind != Kind::kInt || values_[item].number < 0) return std::nullopt;
      sizes.push_back(values_[item].number);
    }
    return sizes;
  }

  // Arguments: storage, offset, size, stride, requires_grad, backward_hooks[, metadata].
  absl::Status PushTensor(const std::vector<ValueId>& arguments) {
    if (arguments.size() < 4 || values_[arguments[0]].kind != Kind::kStorage ||
        values_[arguments[1]].kind != Kind::kInt || values_[arguments[1]].number < 0)
      return Corrupt("a tensor without a storage");
    std::optional<std::vector<int64_t>> shape = Sizes(arguments[2]);
    std::optional<std::vector<int64_t>> strides = Sizes(arguments[3]);
    if (!shape || !strides || shape->size() != strides->size())
      return Corrupt("a tensor with bad sizes");
    const Value& storage = values_[arguments[0]];
    tensors_.push_back({.dtype = storage.dtype,
                        .storage_key = std::string(storage.text),
                        .storage_elements = storage.number,
                        .offset = values_[arguments[1]].number,
                        .shape = *std::move(shape),
                        .strides = *std::move(strides)});
    return Push({.kind = Kind::kTensor, .number = static_cast<int64_t>(tensors_.size()) - 1});
  }

  // Sets attributes; a state_dict carries _metadata (versions of its modules), which says nothing
  // about the numbers.
  absl::Status Build() {
    MELLOW_RETURN_IF_ERROR(Pop().status());
    MELLOW_ASSIGN_OR_RETURN(const ValueId object, Top());
    if (values_[object].kind != Kind::kDict)
      return absl::UnimplementedError("pickle: attributes of something that is no dict");
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<PickledTensor>> Result() {
    MELLOW_ASSIGN_OR_RETURN(const ValueId root, Pop());
    if (!stack_.empty() || !marks_.empty()) return Corrupt("leaves values on the stack");
    const Value& dict = values_[root];
    if (dict.kind != Kind::kDict) return absl::UnimplementedError("holds no dict of tensors");
    std::vector<PickledTensor> named;
    std::set<absl::string_view> names;
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      const Value& key = values_[dict.items[i]];
      const Value& value = values_[dict.items[i + 1]];
      if (key.kind != Kind::kText)
        return absl::UnimplementedError("a dict with a key that is no text");
      if (!names.insert(key.text).second)
        return Corrupt(absl::StrCat("\"", absl::CEscape(key.text), "\" is there twice"));
      if (value.kind != Kind::kTensor)
        return absl::UnimplementedError(
            absl::StrCat("\"", absl::CEscape(key.text), "\" is not a tensor"));
      named.push_back(tensors_[static_cast<size_t>(value.number)]);
      named.back().name = std::string(key.text);
    }
    return named;
  }

  absl::string_view pickle_;
  uint64_t position_ = 0;
  bool stopped_ = false;
  std::vector<Value> values_;
  std::vector<ValueId> stack_;
  std::vector<size_t> marks_;  // sizes of the stack when they were set
  std::unordered_map<uint64_t, ValueId> memo_;
  std::vector<PickledTensor> tensors_;
  size_t copied_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<PickledTensor>> UnpickleTensors(absl::string_view pickle) {
  if (pickle.size() > kMaxPickleBytes) return Corrupt("unreasonably long");
  return Machine(pickle).Run();
}

}  // namespace mellow::nn
