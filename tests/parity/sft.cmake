mellow_test(sft_parity_test
  SRCS sft_parity_test.cc
  DEPS mellow::sft mellow::adapters mellow::nn_torch torch::cpu nlohmann_json::nlohmann_json
  LABELS parity)
