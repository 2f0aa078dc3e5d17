mellow_test(generation_parity_test SRCS generation_parity_test.cc LABELS parity
  DEPS mellow::nn mellow::nn_torch mellow::nn_generation nlohmann_json::nlohmann_json)
