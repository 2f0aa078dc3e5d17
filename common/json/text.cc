// Text to values and back, through nlohmann's parser and its printing of numbers and strings: what
// is slow to compile stays in this file.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/json/value.h"

namespace mellow::json {
namespace {

using Library = nlohmann::json;

constexpr size_t kMaxShownName = 80;
// Stands at the beginning of a string for a token that the library does not read.
constexpr absl::string_view kMark = "\x01mellow:";

// Builds the value, and says what is wrong.
class Builder : public nlohmann::json_sax<Library> {
 public:
  Builder(const ParseOptions& options, bool marked) : options_(options), marked_(marked) {}

  bool null() override { return Put(Value()); }
  bool boolean(bool value) override { return Put(value); }
  bool number_integer(number_integer_t value) override { return Number(value); }
  bool number_unsigned(number_unsigned_t value) override { return Number(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (options_.numbers_as_text) return Put(text);
    return Put(options_.to_double == nullptr ? value : options_.to_double(text));
  }
  bool string(string_t& text) override {
    absl::string_view token = text;
    if (!marked_ || !absl::ConsumePrefix(&token, kMark)) return Put(std::move(text));
    if (token == "NaN") return Put(std::nan(""));
    if (token == "Infinity") return Put(HUGE_VAL);
    if (token == "-Infinity") return Put(-HUGE_VAL);
    return Put(token);
  }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(size_t) override { return Open(Value::MakeObject()); }
  bool start_array(size_t) override { return Open(Value::MakeArray()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    Frame& frame = open_.back();
    Object& members = *frame.value.mutable_members();
    frame.at = Place(&frame, members, name);
    if (frame.at < members.size() && !options_.last_of_name_counts) {
      problem_ = absl::StrCat("the key \"", name.substr(0, kMaxShownName), "\" is there twice");
      return false;
    }
    if (frame.at == members.size()) members.push_back({std::move(name), Value()});
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Library::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: what; last read: '...'"
    absl::string_view what = error.what();
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    if (absl::StartsWith(what, "parse error")) what.remove_prefix(what.find(": ") + 2);
    problem_ = std::string(what.substr(0, what.find("; last read")));
    position_ = position;
    return false;
  }

  const std::string& problem() const { return problem_; }
  // Behind the byte where it was found; 0: unknown.
  size_t position() const { return position_; }
  Value TakeResult() { return std::move(result_); }

 private:
  // An array or object that is not closed yet.
  struct Frame {
    Value value;
    size_t at = 0;                                    // the member to which the next value belongs
    absl::flat_hash_map<std::string, size_t> places;  // of a large object's names
  };

  // Where the name stands; members.size(): nowhere.
  static size_t Place(Frame* frame, const Object& members, const std::string& name) {
    constexpr size_t kFew = 16;
    if (members.size() < kFew) {
      const auto same = [&name](const Member& member) { return member.name == name; };
      return static_cast<size_t>(std::find_if(members.begin(), members.end(), same) -
                                 members.begin());
    }
    if (frame->places.empty()) {
      for (size_t i = 0; i < members.size(); ++i) frame->places[members[i].name] = i;
    }
    return frame->places.try_emplace(name, members.size()).first->second;
  }

  template <typename Integer>
  bool Number(Integer value) {
    return options_.numbers_as_text ? Put(absl::StrCat(value)) : Put(value);
  }

  bool Put(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
      return true;
    }
    Frame& frame = open_.back();
    if (Object* members = frame.value.mutable_members()) {
      (*members)[frame.at].value = std::move(value);
    } else {
      frame.value.Append(std::move(value));
    }
    return true;
  }

  bool Open(Value value) {
    if (open_.size() == static_cast<size_t>(options_.depth)) {
      problem_ = absl::StrCat("nested deeper than ", options_.depth);
      return false;
    }
    open_.push_back({.value = std::move(value)});
    return true;
  }

  bool Close() {
    Value value = std::move(open_.back().value);
    open_.pop_back();
    return Put(std::move(value));
  }

  const ParseOptions& options_;
  const bool marked_;
  std::vector<Frame> open_;
  Value result_;
  std::string problem_;
  size_t position_ = 0;
};

// The number at the beginning of the text, by JSON's grammar; empty: there is none.
absl::string_view NumberToken(absl::string_view text) {
  size_t end = 0;
  const auto digits = [&] {
    const size_t begin = end;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    return end - begin;
  };
  const auto skip = [&](absl::string_view any) {
    const bool found = end < text.size() && any.find(text[end]) != absl::string_view::npos;
    end += found ? 1 : 0;
    return found;
  };
  (void)skip("-");
  const size_t first = end;
  const size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return "";
  if (skip(".") && digits() == 0) return "";
  if (skip("eE")) {
    (void)skip("+-");
    if (digits() == 0) return "";
  }
  return text.substr(0, end);
}

// The text with marked strings in place of what the options allow and the library does not: for a
// second try, so that all other texts are read once.
std::string MarkTokens(absl::string_view text, const ParseOptions& options) {
  std::string marked;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    absl::string_view token;
    if (!in_string && options.python_literals) {
      for (const absl::string_view name : {"NaN", "Infinity", "-Infinity"}) {
        if (absl::StartsWith(text.substr(i), name)) token = name;
      }
    }
    if (!in_string && token.empty() && options.numbers_as_text) {
      const absl::string_view number = NumberToken(text.substr(i));
      if (!number.empty()) {
        double value = 0;
        if (!absl::SimpleAtod(number, &value) || !std::isfinite(value)) {
          token = number;
        } else {
          absl::StrAppend(&marked, number);
          i += number.size();
          continue;
        }
      }
    }
    if (!token.empty()) {
      absl::StrAppend(&marked, "\"\\u0001", kMark.substr(1), token, "\"");
      i += token.size();
      continue;
    }
    const size_t length = in_string && text[i] == '\\' ? 2 : 1;
    if (text[i] == '"') in_string = !in_string;
    absl::StrAppend(&marked, text.substr(i, length));
    i += length;
  }
  return marked;
}

std::string Where(absl::string_view text, size_t position) {
  if (position == 0) return "";
  const absl::string_view before = text.substr(0, position - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  if (line == 1) return absl::StrCat(" (byte ", position, ")");
  return absl::StrCat(" (line ", line, ", byte ", position, ")");
}

absl::Status Refuse(absl::string_view name, absl::string_view kind, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, name.empty() ? "" : ": ", "not ", kind, ": ", why));
}

absl::StatusOr<Value> ParseAs(absl::string_view kind, absl::string_view text,
                              absl::string_view name, const ParseOptions& options) {
  Builder builder(options, /*marked=*/false);
  if (Library::sax_parse(text.begin(), text.end(), &builder)) return builder.TakeResult();
  if (options.python_literals || options.numbers_as_text) {
    const std::string marked = MarkTokens(text, options);
    Builder again(options, /*marked=*/true);
    if (Library::sax_parse(marked, &again)) return again.TakeResult();
  }
  return Refuse(name, kind, absl::StrCat(builder.problem(), Where(text, builder.position())));
}

const char* KindOf(const Value& value) {
  if (value.is_array()) return "a list";
  if (value.is_null()) return "null alone";
  return "a value alone";
}

void WriteString(const std::string& text, std::string* out) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';  // bytes from 0x80 are negative
  });
  if (plain) {
    absl::StrAppend(out, "\"", text, "\"");
  } else {
    out->append(Library(text).dump(-1, ' ', false, Library::error_handler_t::replace));
  }
}

class Writer {
 public:
  Writer(const Style& style, std::string* out) : style_(style), out_(out) {}

  void Write(const Value& value, int depth) {
    if (value.is_string()) {
      WriteString(value.string(), out_);
    } else if (value.is_double()) {
      WriteDouble(value.number());
    } else if (value.is_array()) {
      WriteElements(value.elements(), depth);
    } else if (value.is_object()) {
      WriteMembers(value.members(), depth);
    } else if (value.is_null()) {
      out_->append("null");
    } else if (value.is_bool()) {
      out_->append(value.boolean() ? "true" : "false");
    } else if (int64_t number = 0; value.To(&number)) {
      absl::StrAppend(out_, number);
    } else if (uint64_t large = 0; value.To(&large)) {
      absl::StrAppend(out_, large);
    }
  }

 private:
  void WriteDouble(double number) {
    if (std::isnan(number)) {
      out_->append("\"nan\"");
    } else if (std::isinf(number)) {
      out_->append(number > 0 ? "\"inf\"" : "\"-inf\"");
    } else {
      out_->append(Library(number).dump());
    }
  }

  void WriteElements(const Array& elements, int depth) {
    out_->push_back('[');
    for (size_t i = 0; i < elements.size(); ++i) {
      if (i > 0) out_->push_back(',');
      NewLine(depth + 1);
      Write(elements[i], depth + 1);
    }
    if (!elements.empty()) NewLine(depth);
    out_->push_back(']');
  }

  void WriteMembers(const Object& members, int depth) {
    std::vector<const Member*> order;
    order.reserve(members.size());
    for (const Member& member : members) order.push_back(&member);
    if (style_.sorted) {
      std::stable_sort(order.begin(), order.end(),
                       [](const Member* a, const Member* b) { return a->name < b->name; });
    }
    out_->push_back('{');
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) out_->push_back(',');
      NewLine(depth + 1);
      WriteString(order[i]->name, out_);
      out_->append(style_.indentation < 0 ? ":" : ": ");
      Write(order[i]->value, depth + 1);
    }
    if (!order.empty()) NewLine(depth);
    out_->push_back('}');
  }

  void NewLine(int depth) {
    if (style_.indentation < 0) return;
    out_->push_back('\n');
    out_->append(static_cast<size_t>(style_.indentation) * static_cast<size_t>(depth), ' ');
  }

  const Style& style_;
  std::string* const out_;
};

}  // namespace

absl::StatusOr<Value> Parse(absl::string_view text, absl::string_view name,
                            const ParseOptions& options) {
  return ParseAs("JSON", text, name, options);
}

absl::StatusOr<Value> ParseObject(absl::string_view text, absl::string_view name,
                                  const ParseOptions& options) {
  constexpr absl::string_view kKind = "a JSON object in UTF-8";
  absl::StatusOr<Value> value = ParseAs(kKind, text, name, options);
  if (value.ok() && !value->is_object()) return Refuse(name, kKind, KindOf(*value));
  return value;
}

std::string Write(const Value& value, const Style& style) {
  std::string out;
  Writer(style, &out).Write(value, 0);
  return out;
}

}  // namespace mellow::json
