mellow_test(ppo_parity_test
  SRCS ppo_parity_test.cc
  DEPS mellow::rl mellow::adapters mellow::nn_torch torch::cpu nlohmann_json::nlohmann_json
  LABELS parity)
