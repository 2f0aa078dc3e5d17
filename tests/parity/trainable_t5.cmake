mellow_test(trainable_t5_parity_test SRCS trainable_t5_parity_test.cc LABELS parity
  DEPS mellow::nn_torch mellow::nn torch::cpu nlohmann_json::nlohmann_json)
