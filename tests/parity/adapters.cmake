mellow_test(adapter_parity_test SRCS adapter_parity_test.cc LABELS parity
  DEPS mellow::nn mellow::nn_torch mellow::rl mellow::adapters nlohmann_json::nlohmann_json)
