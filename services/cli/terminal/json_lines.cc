#include "services/cli/terminal/json_lines.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/nearest_name.h"
#include "common/base/plural.h"
#include "common/base/status.h"
#include "common/sync/mutex.h"

namespace mellow::cli {
namespace {

absl::Status BadField(const char* name, const char* wanted) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", wanted));
}

// Absent or null: nothing. `wanted`: what is needed otherwise.
template <typename T>
absl::StatusOr<std::optional<T>> Optional(const json::Value& object, const char* name,
                                          const char* wanted) {
  if (object[name].is_null()) return std::nullopt;
  T value{};
  if (!object.Get(name, &value)) return BadField(name, wanted);
  return value;
}

// The line's answer; an error is counted.
json::Value Counted(absl::StatusOr<json::Value> answer, LineCounts* counts) {
  ++counts->lines;
  if (answer.ok()) return *std::move(answer);
  ++counts->failed;
  counts->unreachable |= absl::IsUnavailable(answer.status());
  return ErrorObject(answer.status());
}

// Prints answers in the order of their lines. Thread-safe.
class OrderedAnswers {
 public:
  explicit OrderedAnswers(std::ostream& out) : out_(out) {}

  void Put(size_t index, absl::StatusOr<json::Value> answer) {
    MutexLock lock(&mutex_);
    std::string text = json::Write(Counted(std::move(answer), &counts_));
    ready_.emplace(index, std::move(text));
    while (!ready_.empty() && ready_.begin()->first == next_) {
      out_ << ready_.begin()->second << std::endl;
      ready_.erase(ready_.begin());
      ++next_;
    }
  }
  LineCounts counts() const {
    MutexLock lock(&mutex_);
    return counts_;
  }

 private:
  std::ostream& out_;
  mutable Mutex mutex_;
  LineCounts counts_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<size_t, std::string> ready_ ABSL_GUARDED_BY(mutex_);
};

// Lines on their way to the workers; bounded, so that a fast writer waits.
class LineQueue {
 public:
  using Line = std::pair<size_t, std::string>;

  explicit LineQueue(size_t capacity) : capacity_(capacity) {}

  void Push(Line line) {
    {
      MutexLock lock(&mutex_);
      while (lines_.size() >= capacity_) changed_.Wait(&mutex_);
      lines_.push_back(std::move(line));
    }
    changed_.NotifyAll();
  }
  void Close() {
    {
      MutexLock lock(&mutex_);
      closed_ = true;
    }
    changed_.NotifyAll();
  }
  // Nothing: closed and empty.
  std::optional<Line> Pop() {
    std::optional<Line> line;
    {
      MutexLock lock(&mutex_);
      while (lines_.empty() && !closed_) changed_.Wait(&mutex_);
      if (lines_.empty()) return std::nullopt;
      line = std::move(lines_.front());
      lines_.pop_front();
    }
    changed_.NotifyAll();
    return line;
  }

 private:
  const size_t capacity_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Line> lines_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<json::Value> ParseObject(const std::string& line) {
  return json::ParseObject(line, "the line");
}

json::Value ErrorObject(const absl::Status& status) { return {{"error", status.message()}}; }

absl::Status CheckFieldNames(const json::Value& object, const std::vector<std::string>& known) {
  for (const auto& [name, value] : object.members()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return absl::InvalidArgumentError(absl::StrCat(name.substr(0, 80), ": unknown field",
                                                     DidYouMean(name, known), ", expected ",
                                                     absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> TextField(const json::Value& object, const char* name) {
  std::string text;
  if (!object.Get(name, &text)) return BadField(name, "a string is needed");
  return text;
}

absl::StatusOr<std::string> TextField(const json::Value& object, const char* name,
                                      const std::string& absent) {
  if (object[name].is_null()) return absent;
  return TextField(object, name);
}

absl::StatusOr<std::vector<int32_t>> IdsField(const json::Value& object, const char* name) {
  const json::Value& field = object[name];
  if (!field.is_array()) return BadField(name, "a list of token ids is needed");
  std::vector<int32_t> ids;
  ids.reserve(field.size());
  for (const json::Value& id : field.elements()) {
    if (!id.To(&ids.emplace_back()) || ids.back() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", json::Excerpt(id), " is not a token id"));
    }
  }
  return ids;
}

absl::StatusOr<std::optional<int64_t>> OptionalInt(const json::Value& object, const char* name) {
  return Optional<int64_t>(object, name, "a whole number is needed");
}

absl::StatusOr<std::optional<bool>> OptionalBool(const json::Value& object, const char* name) {
  return Optional<bool>(object, name, "true or false is needed");
}

int FilterExitCode(const LineCounts& counts, bool strict) {
  if (counts.failed == 0) return 0;
  std::fprintf(stderr, "mellow: %s of %s failed\n", Grouped(counts.failed).c_str(),
               Plural(counts.lines, "line").c_str());
  return strict || counts.unreachable || counts.failed == counts.lines ? 1 : 0;
}

LineCounts AnswerInBatches(
    std::istream& in, std::ostream& out, int batch,
    const std::function<absl::StatusOr<std::vector<json::Value>>(const std::vector<json::Value>&)>&
        compute) {
  LineCounts counts;
  bool more = true;
  while (more) {
    std::vector<absl::StatusOr<json::Value>> answers;  // one per line
    std::vector<json::Value> objects;                  // of the good lines
    std::vector<size_t> places;                        // where their answers go
    std::string line;
    while (static_cast<int>(answers.size()) < batch &&
           (more = static_cast<bool>(std::getline(in, line)))) {
      answers.push_back(ParseObject(line));
      if (!answers.back().ok()) continue;
      places.push_back(answers.size() - 1);
      objects.push_back(*std::move(answers.back()));
    }
    if (!objects.empty()) {
      absl::StatusOr<std::vector<json::Value>> computed = compute(objects);
      for (size_t i = 0; i < objects.size(); ++i) {
        if (computed.ok()) {
          answers[places[i]] = std::move((*computed)[i]);
        } else if (objects.size() == 1) {
          answers[places[i]] = computed.status();
        } else {
          absl::StatusOr<std::vector<json::Value>> alone = compute({objects[i]});
          if (alone.ok()) {
            answers[places[i]] = std::move((*alone)[0]);
          } else {
            answers[places[i]] = alone.status();
          }
        }
      }
    }
    for (absl::StatusOr<json::Value>& answer : answers)
      out << json::Write(Counted(std::move(answer), &counts)) << '\n';
    out.flush();
  }
  return counts;
}

LineCounts AnswerInParallel(
    std::istream& in, std::ostream& out, int workers,
    const std::function<absl::StatusOr<json::Value>(const json::Value&)>& answer) {
  OrderedAnswers answers(out);
  LineQueue queue(static_cast<size_t>(workers) * 2);
  {
    std::vector<std::jthread> threads;
    const absl::Cleanup close = [&] { queue.Close(); };
    for (int i = 0; i < workers; ++i) {
      threads.emplace_back([&] {
        while (std::optional<LineQueue::Line> line = queue.Pop()) {
          absl::StatusOr<json::Value> result = ParseObject(line->second);
          if (result.ok()) result = answer(*result);
          answers.Put(line->first, std::move(result));
        }
      });
    }
    size_t index = 0;
    for (std::string line; std::getline(in, line); ++index) queue.Push({index, std::move(line)});
  }
  return answers.counts();
}

}  // namespace mellow::cli
