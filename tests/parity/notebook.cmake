mellow_test(notebook_parity_test SRCS notebook_parity_test.cc LABELS parity
  DEPS mellow::cli_models mellow::orchestrator_core mellow::nn mellow::text nlohmann_json::nlohmann_json)
