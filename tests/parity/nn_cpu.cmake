mellow_test(nn_cpu_parity_test SRCS nn_cpu_parity_test.cc LABELS parity
  DEPS mellow::nn mellow::nn_generation mellow::adapters nlohmann_json::nlohmann_json)
