mellow_test(nn_torch_parity_test SRCS nn_torch_parity_test.cc LABELS parity
  DEPS mellow::nn_torch mellow::nn_generation mellow::adapters nlohmann_json::nlohmann_json)
mellow_test(nn_family_parity_test SRCS nn_family_parity_test.cc LABELS parity
  DEPS mellow::nn mellow::nn_torch nlohmann_json::nlohmann_json)
