#include "common/json/value.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace mellow::json {
namespace {

const Value& NullValue() {
  static const auto& null = *new Value();
  return null;
}

}  // namespace

Value::Value() = default;
Value::Value(std::nullptr_t) {}
Value::Value(const char* text) : data_(std::string(text)) {}
Value::Value(absl::string_view text) : data_(std::string(text)) {}
Value::Value(std::string text) : data_(std::move(text)) {}
Value::Value(Array elements) : data_(std::move(elements)) {}
Value::Value(std::initializer_list<Member> members) : data_(Object(members)) {}
// Not the variant's own: when it runs out of memory half-way, that of GCC 12 destroys what it has
// not made, because it takes a variant of strings and vectors for one that always holds something.
Value::Value(const Value& other) {
  std::visit([this](const auto& held) { data_ = held; }, other.data_);
}
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) {
  if (this != &other) *this = Value(other);
  return *this;
}
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

Value Value::MakeArray() { return Value(Array()); }
Value Value::MakeObject() {
  Value object;
  object.data_.emplace<Object>();
  return object;
}

void Value::SetBool(bool value) { data_ = value; }
void Value::SetDouble(double value) { data_ = value; }
void Value::SetSigned(int64_t value) { data_ = value; }
void Value::SetUnsigned(uint64_t value) {
  if (value <= uint64_t{std::numeric_limits<int64_t>::max()}) {
    data_ = static_cast<int64_t>(value);
  } else {
    data_ = value;
  }
}

std::optional<int64_t> Value::Signed() const {
  const auto* value = std::get_if<int64_t>(&data_);
  return value == nullptr ? std::nullopt : std::optional<int64_t>(*value);
}
std::optional<uint64_t> Value::Unsigned() const {
  if (const auto* large = std::get_if<uint64_t>(&data_)) return *large;
  const auto* value = std::get_if<int64_t>(&data_);
  if (value == nullptr || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

bool Value::boolean() const {
  const auto* value = std::get_if<bool>(&data_);
  return value != nullptr && *value;
}
double Value::number() const {
  if (const auto* value = std::get_if<double>(&data_)) return *value;
  if (const auto* value = std::get_if<int64_t>(&data_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<uint64_t>(&data_)) return static_cast<double>(*value);
  return 0;
}
const std::string& Value::string() const {
  static const auto& none = *new std::string();
  const auto* value = std::get_if<std::string>(&data_);
  return value == nullptr ? none : *value;
}
const Array& Value::elements() const {
  static const auto& none = *new Array();
  const auto* value = std::get_if<Array>(&data_);
  return value == nullptr ? none : *value;
}
const Object& Value::members() const {
  static const auto& none = *new Object();
  const auto* value = std::get_if<Object>(&data_);
  return value == nullptr ? none : *value;
}
size_t Value::size() const { return is_array() ? elements().size() : members().size(); }

const Value* Value::Find(absl::string_view name) const {
  for (const Member& member : members()) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

const Value& Value::operator[](size_t index) const {
  return index < elements().size() ? elements()[index] : NullValue();
}

const Value& Value::operator[](absl::string_view name) const {
  const Value* found = Find(name);
  return found == nullptr ? NullValue() : *found;
}

void Value::Append(Value element) {
  if (is_null()) data_.emplace<Array>();
  if (Array* array = mutable_elements()) array->push_back(std::move(element));
}

void Value::Set(absl::string_view name, Value value) {
  if (is_null()) data_.emplace<Object>();
  Object* object = mutable_members();
  if (object == nullptr) return;
  for (Member& member : *object) {
    if (member.name != name) continue;
    member.value = std::move(value);
    return;
  }
  object->push_back({std::string(name), std::move(value)});
}

void Value::Add(std::string name, Value value) {
  if (is_null()) data_.emplace<Object>();
  if (Object* object = mutable_members()) object->push_back({std::move(name), std::move(value)});
}

void Value::Erase(absl::string_view name) {
  if (Object* object = mutable_members())
    std::erase_if(*object, [name](const Member& member) { return member.name == name; });
}

Array* Value::mutable_elements() { return std::get_if<Array>(&data_); }
Object* Value::mutable_members() { return std::get_if<Object>(&data_); }

bool Value::Equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_double() || b.is_double()) return a.number() == b.number();
    return a.Signed() == b.Signed() && a.Unsigned() == b.Unsigned();
  }
  if (a.data_.index() != b.data_.index()) return false;
  if (a.is_bool()) return a.boolean() == b.boolean();
  if (a.is_string()) return a.string() == b.string();
  if (a.is_array()) return a.elements() == b.elements();
  if (a.size() != b.size()) return false;
  // Equal sizes and no name twice: every member here has its match there. Objects that came the
  // same way have the same order.
  for (size_t i = 0; i < a.size(); ++i) {
    const Member& mine = a.members()[i];
    const Member& there = b.members()[i];
    const Value* other = mine.name == there.name ? &there.value : b.Find(mine.name);
    if (other == nullptr || !Equal(mine.value, *other)) return false;
  }
  return true;
}

bool ReadNumber(const Value& value, double* out) {
  if (value.To(out)) return true;
  if (value == "nan") {
    *out = std::nan("");
  } else if (value == "inf") {
    *out = HUGE_VAL;
  } else if (value == "-inf") {
    *out = -HUGE_VAL;
  } else {
    return false;
  }
  return true;
}

bool ReadNumber(const Value& object, absl::string_view name, double* out) {
  const Value* value = object.Find(name);
  return value != nullptr && ReadNumber(*value, out);
}

std::string Excerpt(const Value& value) {
  constexpr size_t kLength = 80;
  constexpr size_t kFewElements = 20;  // more are not worth their text
  if (value.size() > kFewElements) return value.is_array() ? "a long array" : "a large object";
  std::string text = Write(value);
  if (text.size() <= kLength) return text;
  size_t end = kLength;  // not inside of a character
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "...");
}

}  // namespace mellow::json
