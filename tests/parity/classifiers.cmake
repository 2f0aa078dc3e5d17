mellow_test(classifier_parity_test SRCS classifier_parity_test.cc LABELS parity
  DEPS mellow::nn mellow::text nlohmann_json::nlohmann_json)
