#include "services/cli/probe/hardware_bench.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/nn/kernels/packed_matrix.h"
#include "common/nn/torch/matmul_speed.h"

namespace mellow::cli {
namespace {

using nn::kernels::PanelFormat;

// Far more than any cache holds.
constexpr size_t kBytesPerThread = size_t{256} << 20;

// The first line "NAME : VALUE" of /proc/cpuinfo; empty: there is none.
std::string CpuInfo(absl::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::StripAsciiWhitespace(parts.first) == name)
      return std::string(absl::StripAsciiWhitespace(parts.second));
  }
  return "";
}

// Those instructions of the CPU that matter to matrix products.
std::string Instructions() {
  const std::string flags = absl::StrCat(" ", CpuInfo("flags"), " ");
  std::vector<std::string> has;
  for (const char* name : {"avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
                           "amx_bf16", "amx_int8"}) {
    if (absl::StrContains(flags, absl::StrCat(" ", name, " "))) has.emplace_back(name);
  }
  return absl::StrJoin(has, " ");
}

// Seconds of the fastest call: a machine that others use too is slower now and then, never faster.
template <typename Body>
double Fastest(double seconds, const Body& body) {
  const SteadyTime end = SteadyTime::Now() + absl::Seconds(seconds);
  absl::Duration best = absl::InfiniteDuration();
  for (int run = 0; run < 2 || SteadyTime::Now() < end; ++run) {
    const SteadyTime start = SteadyTime::Now();
    body();
    best = std::min(best, SteadyTime::Now() - start);
  }
  return absl::ToDoubleSeconds(best);
}

double OurSpeed(const HardwareBenchOptions& options, PanelFormat format, ThreadPool* pool) {
  const int n = options.size;
  const nn::kernels::KernelTable& kernels = nn::kernels::Kernels();
  const nn::kernels::PackedMatrix w(
      kernels, n, n, format,
      [n](int64_t index, float* row) {
        for (int k = 0; k < n; ++k)
          row[k] = static_cast<float>((index * 31 + k * 17) % 64) / 64.0f - 0.5f;
      },
      pool);
  const std::vector<float> x(static_cast<size_t>(n) * n, 0.5f);
  std::vector<float> y(x.size());
  const double best = Fastest(options.seconds, [&] {
    nn::kernels::MatMul(kernels, pool, w, {x.data(), n}, n, {y.data(), n});
  });
  return 2.0 * n * n * n / best;
}

double ReadSpeed(const HardwareBenchOptions& options, ThreadPool* pool) {
  const size_t words = kBytesPerThread / sizeof(uint64_t);
  std::vector<std::vector<uint64_t>> memory(static_cast<size_t>(options.threads));
  pool->Run(options.threads, [&](int i) { memory[static_cast<size_t>(i)].resize(words, 1); });
  std::vector<uint64_t> sums(memory.size());
  const double best = Fastest(options.seconds, [&] {
    pool->Run(options.threads, [&](int i) {
      // Several sums, so that an addition need not wait for the one before.
      uint64_t part[8] = {};
      const uint64_t* data = memory[static_cast<size_t>(i)].data();
      for (size_t at = 0; at < words; at += 8) {
        for (size_t j = 0; j < 8; ++j) part[j] += data[at + j];
      }
      for (const uint64_t sum : part) sums[static_cast<size_t>(i)] += sum;
    });
  });
  // What was added up cannot be optimized away: it decides the result.
  const bool read = std::all_of(sums.begin(), sums.end(), [](uint64_t sum) { return sum > 0; });
  return read ? static_cast<double>(memory.size() * kBytesPerThread) / best : 0;
}

}  // namespace

absl::Status BenchHardware(const HardwareBenchOptions& options,
                           const std::function<void(const json::Value&)>& print) {
  print({{"hardware", "machine"},
         {"cpu", CpuInfo("model name")},
         {"instructions", Instructions()},
         {"kernels", nn::kernels::Kernels().name},
         {"device", options.device.ToString()},
         {"threads", options.threads}});
  const auto print_product = [&](const std::string& engine, double speed) {
    print({{"hardware", "gemm"},
           {"engine", engine},
           {"device", options.device.ToString()},
           {"size", options.size},
           {"threads", options.threads},
           {"gflops", 1e-9 * speed}});
  };
  ThreadPool pool(options.threads);
  if (!options.device.cuda) {
    for (const auto& [name, format] : {std::pair{"float32", PanelFormat::kFloat32},
                                       {"bfloat16", PanelFormat::kBFloat16},
                                       {"int8", PanelFormat::kInt8}}) {
      print_product(absl::StrCat("mellow-", name), OurSpeed(options, format, &pool));
    }
  }
  for (const auto& [name, type] : {std::pair{"float32", nn::TorchMatMul::kFloat32},
                                   {"bfloat16", nn::TorchMatMul::kBFloat16},
                                   {"int8", nn::TorchMatMul::kInt8}}) {
    const absl::StatusOr<double> speed = nn::TorchMatMulSpeed(
        type, options.device, options.size, options.threads, absl::Seconds(options.seconds));
    if (speed.ok()) {
      print_product(absl::StrCat("libtorch-", name), *speed);
    } else if (type == nn::TorchMatMul::kFloat32) {
      return speed.status();
    }
  }
  if (options.device.cuda) return absl::OkStatus();
  print({{"hardware", "memory"},
         {"threads", options.threads},
         {"read_gb_per_s", 1e-9 * ReadSpeed(options, &pool)}});
  return absl::OkStatus();
}

}  // namespace mellow::cli
