#ifndef MELLOW_COMMON_JSON_VALUE_H_
#define MELLOW_COMMON_JSON_VALUE_H_

// JSON as a value, from text and to text. The only way in which Mellow reads and writes JSON, but
// for messages of protobuf; no header of this folder includes a JSON library.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::json {

class Value;
struct Member;
using Array = std::vector<Value>;
using Object = std::vector<Member>;  // in the order of the text, or in which they were added

// null, true or false, a number (an integer of 64 bits or a double), a string, an array or an
// object. Looking for something in a value of another kind finds nothing.
class Value {
 public:
  Value();                                       // null
  Value(std::nullptr_t);                         // NOLINT(google-explicit-constructor)
  Value(const char* text);                       // NOLINT(google-explicit-constructor)
  Value(absl::string_view text);                 // NOLINT(google-explicit-constructor)
  Value(std::string text);                       // NOLINT(google-explicit-constructor)
  Value(Array elements);                         // NOLINT(google-explicit-constructor)
  Value(std::initializer_list<Member> members);  // NOLINT: {{"step", 3}, {"loss", 0.5}}
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  Value(T number) {  // NOLINT(google-explicit-constructor)
    if constexpr (std::is_same_v<T, bool>) {
      SetBool(number);
    } else if constexpr (std::is_floating_point_v<T>) {
      SetDouble(static_cast<double>(number));
    } else if constexpr (std::is_signed_v<T>) {
      SetSigned(number);
    } else {
      SetUnsigned(number);
    }
  }
  template <typename T>
  Value(const std::vector<T>& elements) {  // NOLINT(google-explicit-constructor)
    for (const T& element : elements) Append(Value(element));
    if (elements.empty()) *this = MakeArray();
  }
  template <typename T, size_t n>
  Value(const std::array<T, n>& elements)  // NOLINT(google-explicit-constructor)
      : Value(std::vector<T>(elements.begin(), elements.end())) {}
  template <typename T>
  Value(const std::map<std::string, T>& members) : Value(MakeObject()) {  // NOLINT: as above
    for (const auto& [name, value] : members) Add(name, Value(value));
  }
  template <typename T>
  Value(const std::optional<T>& value)  // NOLINT(google-explicit-constructor): absent is null
      : Value(value.has_value() ? Value(*value) : Value()) {}
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  [[nodiscard]] static Value MakeArray();
  [[nodiscard]] static Value MakeObject();

  [[nodiscard]] bool is_null() const { return data_.index() == 0; }
  [[nodiscard]] bool is_bool() const { return data_.index() == 1; }
  [[nodiscard]] bool is_integer() const { return data_.index() == 2 || data_.index() == 3; }
  [[nodiscard]] bool is_double() const { return data_.index() == 4; }
  [[nodiscard]] bool is_number() const { return is_integer() || is_double(); }
  [[nodiscard]] bool is_string() const { return data_.index() == 5; }
  [[nodiscard]] bool is_array() const { return data_.index() == 6; }
  [[nodiscard]] bool is_object() const { return data_.index() == 7; }

  // A value of another kind gives false, 0, "" or nothing.
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] double number() const;
  [[nodiscard]] const std::string& string() const;
  [[nodiscard]] const Array& elements() const;
  [[nodiscard]] const Object& members() const;
  // How many an array or an object has; else 0.
  [[nodiscard]] size_t size() const;
  [[nodiscard]] bool empty() const { return size() == 0; }

  // nullptr: not an object, or nothing of that name.
  [[nodiscard]] const Value* Find(absl::string_view name) const;
  [[nodiscard]] bool Has(absl::string_view name) const { return Find(name) != nullptr; }
  // The element of an array, the member of an object; null where there is none.
  [[nodiscard]] const Value& operator[](size_t index) const;
  [[nodiscard]] const Value& operator[](absl::string_view name) const;

  // The value as T: bool, std::string, a floating type (from any number), an integer type (from an
  // integer that fits), or a vector of these. False, with *out untouched: it isn't one.
  template <typename T>
  [[nodiscard]] bool To(T* out) const;
  // The same of a member; false also when there is none.
  template <typename T>
  [[nodiscard]] bool Get(absl::string_view name, T* out) const {
    const Value* value = Find(name);
    return value != nullptr && value->To(out);
  }

  // Changes. A null becomes an array or an object first; a value of another kind stays as it is.
  void Append(Value element);
  // The member of that name, at the end if there was none.
  void Set(absl::string_view name, Value value);
  // As Set, without looking for the name, which must be new.
  void Add(std::string name, Value value);
  void Erase(absl::string_view name);
  // nullptr: of another kind.
  [[nodiscard]] Array* mutable_elements();
  [[nodiscard]] Object* mutable_members();

  // Numbers are equal when their values are, whether integer or double; objects in any order of
  // their members.
  friend bool operator==(const Value& a, const Value& b) { return Equal(a, b); }

 private:
  static bool Equal(const Value& a, const Value& b);
  void SetBool(bool value);
  void SetDouble(double value);
  void SetSigned(int64_t value);
  void SetUnsigned(uint64_t value);
  [[nodiscard]] std::optional<int64_t> Signed() const;
  [[nodiscard]] std::optional<uint64_t> Unsigned() const;

  // An integer is a uint64_t only when no int64_t can hold it.
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object> data_;
};

struct Member {
  std::string name;
  Value value;
};

struct ParseOptions {
  int depth = 64;  // of arrays and objects inside one another
  // When a name comes twice in an object, the last value counts, as in Python, at the first one's
  // place; else the text is refused.
  bool last_of_name_counts = false;
  // NaN, Infinity and -Infinity, as Python's json module writes them, are numbers.
  bool python_literals = false;
  // A number is the string of what stands in the text, whatever its size; those of Python's
  // literals excepted.
  bool numbers_as_text = false;
  // What a number with a fraction or an exponent is; nullptr: the nearest double.
  double (*to_double)(absl::string_view text) = nullptr;
};

// Strict JSON in UTF-8. InvalidArgument: "NAME: not JSON: WHAT (line 3, byte 17)", where WHAT is
// also a number beyond a double, a name twice in one object, or nesting too deep. Without a name
// the message begins with "not JSON"; of a text of one line it has the byte alone.
[[nodiscard]] absl::StatusOr<Value> Parse(absl::string_view text, absl::string_view name,
                                          const ParseOptions& options = {});
// The same for an object: "NAME: not a JSON object in UTF-8: WHAT (byte 17)".
[[nodiscard]] absl::StatusOr<Value> ParseObject(absl::string_view text, absl::string_view name,
                                                const ParseOptions& options = {});

struct Style {
  int indentation = -1;  // -1: all on one line, without blanks
  bool sorted = false;   // members by name, else in their order
};

// A double reads back as the same double; one that is not finite, for which JSON has no number, is
// the string "nan", "inf" or "-inf" (see ReadNumber). Text that is not UTF-8 gets replacement
// characters.
[[nodiscard]] std::string Write(const Value& value, const Style& style = {});

// A number, or one of the three strings by which Write stands for others.
[[nodiscard]] bool ReadNumber(const Value& value, double* out);
[[nodiscard]] bool ReadNumber(const Value& object, absl::string_view name, double* out);

// The beginning of a value on one line, for errors.
[[nodiscard]] std::string Excerpt(const Value& value);

namespace internal {
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
}  // namespace internal

template <typename T>
bool Value::To(T* out) const {
  if constexpr (std::is_same_v<T, bool>) {
    if (!is_bool()) return false;
    *out = boolean();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!is_string()) return false;
    *out = string();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!is_number()) return false;
    *out = static_cast<T>(number());
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    const std::optional<int64_t> value = Signed();
    if (!value || *value < std::numeric_limits<T>::min() || *value > std::numeric_limits<T>::max())
      return false;
    *out = static_cast<T>(*value);
  } else if constexpr (std::is_integral_v<T>) {
    const std::optional<uint64_t> value = Unsigned();
    if (!value || *value > std::numeric_limits<T>::max()) return false;
    *out = static_cast<T>(*value);
  } else {
    static_assert(internal::IsVector<T>::value, "no JSON value is of this type");
    if (!is_array()) return false;
    T all;
    all.reserve(size());
    for (const Value& element : elements()) {
      typename T::value_type one{};
      if (!element.To(&one)) return false;
      all.push_back(std::move(one));
    }
    *out = std::move(all);
  }
  return true;
}

}  // namespace mellow::json

#endif  // MELLOW_COMMON_JSON_VALUE_H_
