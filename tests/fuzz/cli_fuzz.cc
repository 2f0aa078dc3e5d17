// What the command line reads: cluster.json, --connect, the record of a started run, JSON lines on
// standard input, the services' logs.

#include <iterator>
#include <sstream>

#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/log_view.h"
#include "services/cli/files/started_run.h"
#include "services/cli/terminal/json_lines.h"
#include "tests/fuzz/input.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

const testing::TempFolder& Folder() {
  static const testing::TempFolder folder;
  return folder;
}

// Aborts unless what `read` takes from the file is written by `write` as something that is written
// the same once more.
template <typename Read, typename Write>
void CheckFile(const std::string& path, const std::string& bytes, const Read& read,
               const Write& write) {
  PutFile(path, bytes);
  std::string texts[2];
  for (std::string& text : texts) {
    const auto value = read();
    if (!value.ok() && &text == texts) return;
    Require(value.ok() && write(*value).ok(), "what was read can be written and read");
    text = ReadFile(path).value_or("");
  }
  Require(texts[0] == texts[1], "a file reads back");
}

void ReadCluster(const std::string& bytes) {
  CheckFile(
      Folder() / "cluster.json", bytes, [] { return ReadClusterFile(Folder().path()); },
      [](const ClusterFile& cluster) { return WriteClusterFile(Folder().path(), cluster); });
}

void ReadConnect(const std::string& bytes) {
  if (!ConnectTo(bytes).ok()) return;
  const auto cluster = FindCluster(Folder().path());
  Require(cluster.ok() && !cluster->services.empty(), "there is something to connect to");
  for (const ServiceEntry& service : cluster->services)
    Require(ServicesOfRole(Folder().path(), service.role).ok(), "a service is found by its role");
}

void ReadStarted(const std::string& bytes) {
  const std::string path = Folder() / "train.json";
  CheckFile(
      path, bytes, [&] { return ReadStartedRun(path); },
      [&](const StartedRun& run) { return WriteStartedRun(path, run); });
}

// With a field of every kind; an answer is a line that gets the same answer.
absl::StatusOr<json::Value> AnswerOf(const json::Value& line) {
  MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"text", "pair", "ids", "seed", "greedy"}));
  MELLOW_ASSIGN_OR_RETURN(const std::string text, TextField(line, "text"));
  MELLOW_ASSIGN_OR_RETURN(const std::string pair, TextField(line, "pair", ""));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, IdsField(line, "ids"));
  MELLOW_ASSIGN_OR_RETURN(const std::optional<int64_t> seed, OptionalInt(line, "seed"));
  MELLOW_ASSIGN_OR_RETURN(const std::optional<bool> greedy, OptionalBool(line, "greedy"));
  return json::Value{
      {"text", text}, {"pair", pair}, {"ids", ids}, {"seed", seed}, {"greedy", greedy}};
}

void ReadLines(const std::string& bytes) {
  const auto answer_all =
      [](const std::vector<json::Value>& lines) -> absl::StatusOr<std::vector<json::Value>> {
    std::vector<json::Value> answers;
    for (const json::Value& line : lines) {
      MELLOW_ASSIGN_OR_RETURN(json::Value answer, AnswerOf(line));
      Require(AnswerOf(answer).value_or(json::Value()) == answer, "fields read back");
      answers.push_back(std::move(answer));
    }
    return answers;
  };
  std::istringstream in(bytes);
  std::ostringstream out;
  const LineCounts counts = AnswerInBatches(in, out, 3, answer_all);
  const std::string answers = out.str();
  const std::vector<std::string> lines = absl::StrSplit(answers, '\n');
  Require(static_cast<int64_t>(lines.size()) == counts.lines + 1 && lines.back().empty(),
          "every line has one answer");
  for (size_t i = 0; i + 1 < lines.size(); ++i)
    Require(ParseObject(lines[i]).ok(), "an answer is an object");
  std::istringstream in_again(bytes);
  std::ostringstream out_again;
  const LineCounts in_parallel = AnswerInParallel(in_again, out_again, 2, AnswerOf);
  Require(out_again.str() == answers && in_parallel.failed == counts.failed,
          "lines get the same answers one by one");
}

void ReadLog(const std::string& bytes) {
  const std::string path = Folder() / "policy-0.log";
  PutFile(path, bytes);
  LogReader reader(path, "policy-0");
  const auto all = reader.Read(-1);
  Require(all.ok(), "a log is read whatever is in it");
  for (const LogLine& line : *all) {
    for (const char c : LogText(line))
      Require(static_cast<uint8_t>(c) >= ' ' && c != '\x7f',
              "a terminal gets no control character");
  }
  const auto more = reader.Read(-1);
  Require(more.ok() && more->empty(), "a line is read once");
  const auto last = LogReader(path, "policy-0").Read(2);
  Require(last.ok() && last->size() <= 2 && last->size() <= all->size(), "two lines at most");
  for (size_t i = 0; i < last->size(); ++i)
    Require((*last)[i].text == (*all)[all->size() - last->size() + i].text, "they are the last");
}

using Reader = void (*)(const std::string& bytes);
constexpr Reader kReaders[] = {ReadCluster, ReadConnect, ReadStarted, ReadLines, ReadLog};

}  // namespace
}  // namespace mellow::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const Chosen input = Choose(data, size, std::size(cli::kReaders));
  cli::kReaders[input.kind](input.bytes);
  return 0;
}
