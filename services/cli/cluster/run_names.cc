#include "services/cli/cluster/run_names.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::KeptAdapter;
using orchestrator::v1::Run;

// "run-20240101-120000", before what tells two of the same second apart.
constexpr size_t kDatedId = 19;
constexpr size_t kMostNamed = 8;

std::string Named(absl::Span<const Run* const> runs) {
  std::string text;
  for (size_t i = 0; i < std::min(runs.size(), kMostNamed); ++i)
    absl::StrAppend(&text, i == 0 ? "" : ", ", runs[i]->run_id(), " (", runs[i]->spec().name(),
                    ")");
  if (runs.size() > kMostNamed) absl::StrAppend(&text, " and ", runs.size() - kMostNamed, " more");
  return text;
}

// "1 to 50, 60".
std::string Ranges(const std::set<int64_t>& numbers) {
  std::string text;
  for (auto it = numbers.begin(); it != numbers.end();) {
    const int64_t first = *it;
    int64_t last = first;
    while (++it != numbers.end() && *it == last + 1) last = *it;
    absl::StrAppend(&text, text.empty() ? "" : ", ", first);
    if (last > first) absl::StrAppend(&text, " to ", last);
  }
  return text;
}

}  // namespace

bool HasSteps(const Run& run) { return run.committed_steps() > 0; }

absl::StatusOr<Run> FindRun(absl::Span<const Run> runs, const std::string& name,
                            const std::function<bool(const Run&)>& prefer) {
  if (runs.empty()) return absl::NotFoundError("there is no run yet");
  std::vector<const Run*> found;
  for (const Run& run : runs) {
    if (run.run_id() == name) return run;
    if (name == kNewestRun ? !prefer || prefer(run)
                           : absl::StartsWith(run.run_id(), name) || run.spec().name() == name)
      found.push_back(&run);
  }
  if (name == kNewestRun) return found.empty() ? runs.front() : *found.front();
  if (found.size() == 1) return *found.front();
  if (!found.empty())
    return absl::InvalidArgumentError(
        absl::StrCat("RUN ", name, ": may be ", Named(found), "; give more of the id"));
  std::vector<const Run*> all;
  for (const Run& run : runs) all.push_back(&run);
  return absl::NotFoundError(absl::StrCat("RUN ", name, ": no such run; there are ", Named(all)));
}

std::vector<std::string> ShortIds(absl::Span<const Run> runs) {
  size_t length = kDatedId;
  std::set<std::string> ids;
  for (const Run& run : runs) ids.insert(run.run_id());
  for (bool unique = false; !unique; ++length) {
    std::set<std::string> beginnings;
    bool cut = false;
    for (const std::string& id : ids) {
      cut = cut || id.size() > length;
      beginnings.insert(id.substr(0, length));
    }
    unique = !cut || beginnings.size() == ids.size();
  }
  std::vector<std::string> out;
  for (const Run& run : runs) out.push_back(run.run_id().substr(0, length - 1));
  return out;
}

absl::StatusOr<KeptAdapters> ListKept(OrchestratorClient* orchestrator) {
  KeptAdapters kept;
  MELLOW_ASSIGN_OR_RETURN(kept.runs, orchestrator->ListRuns());
  MELLOW_ASSIGN_OR_RETURN(kept.adapters, orchestrator->ListKeptAdapters());
  return kept;
}

absl::StatusOr<KeptAdapter> FindKept(const KeptAdapters& kept, const StepName& name) {
  const std::string whole = absl::StrCat(name.run, "@", name.step);
  const absl::StatusOr<Run> run = FindRun(kept.runs, name.run, HasSteps);
  if (!run.ok()) return Annotate(run.status(), whole);
  if (run->spec().has_sft())
    return absl::InvalidArgumentError(
        absl::StrCat(whole, ": a supervised run keeps no adapters of its steps; its result is ",
                     run->adapter_path().empty() ? "not there yet" : run->adapter_path()));
  std::set<int64_t> steps;
  for (const KeptAdapter& adapter : kept.adapters) {
    if (adapter.run_id() != run->run_id()) continue;
    if (adapter.step() == name.step && adapter.has_files()) return adapter;
    if (adapter.has_files()) steps.insert(adapter.step());
  }
  return absl::NotFoundError(absl::StrCat(
      whole, name.step > run->committed_steps() ? ": no such step is committed" : " is not kept",
      "; kept are ", steps.empty() ? "none" : absl::StrCat("steps ", Ranges(steps)), " of ",
      run->run_id()));
}

absl::Status NoSuchVersion(int64_t version, std::set<int64_t> served, const KeptAdapters& kept) {
  bool gone = false;
  for (const KeptAdapter& adapter : kept.adapters) {
    if (adapter.has_files()) served.insert(adapter.adapter().version());
    gone = gone || adapter.adapter().version() == version;
  }
  return absl::NotFoundError(absl::StrCat(
      "no adapter version ", version, gone ? " anymore, its files are gone" : "", "; there are ",
      served.empty() ? "none" : Ranges(served), " (`mellow adapters`)"));
}

}  // namespace mellow::cli
