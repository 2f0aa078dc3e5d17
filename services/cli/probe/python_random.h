#ifndef MELLOW_SERVICES_CLI_PROBE_PYTHON_RANDOM_H_
#define MELLOW_SERVICES_CLI_PROBE_PYTHON_RANDOM_H_

#include <cstdint>
#include <vector>

namespace mellow::cli {

// `count` times random.Random(seed).randint(low, high) of Python: the response lengths that the TRL
// benchmark beside `mellow bench ppo` draws. Precondition: low <= high.
[[nodiscard]] std::vector<int> PythonRandints(uint32_t seed, int count, int low, int high);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_PROBE_PYTHON_RANDOM_H_
