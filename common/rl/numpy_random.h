#ifndef MELLOW_COMMON_RL_NUMPY_RANDOM_H_
#define MELLOW_COMMON_RL_NUMPY_RANDOM_H_

#include <array>
#include <cstdint>
#include <vector>

namespace mellow::rl {

// NumPy's legacy global generator (MT19937 of Matsumoto and Nishimura, seeded by
// numpy.random.seed), as far as PPO uses it: TRL draws its mini-batch order from it. Not
// thread-safe.
class NumpyRandom {
 public:
  explicit NumpyRandom(uint32_t seed);

  [[nodiscard]] uint32_t NextUint32();
  // Uniform in [0, max], by masked rejection.
  [[nodiscard]] uint32_t Bounded(uint32_t max);
  // numpy.random.permutation(n).
  [[nodiscard]] std::vector<int> Permutation(int n);

  // 624 words and the position: everything that a checkpoint needs.
  static constexpr int kStateWords = 624;
  struct State {
    std::array<uint32_t, kStateWords> words;
    int position;
  };
  [[nodiscard]] const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  void Refill();
  State state_;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_NUMPY_RANDOM_H_
