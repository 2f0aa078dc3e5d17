# cmake --install BUILD --prefix PREFIX: programs in bin, models and run files that ship in share/mellow, completion for bash. The programs look for
# libtorch where they were linked with it.
include(GNUInstallDirs)
install(TARGETS mellow mellow_policy_server mellow_reward_server mellow_learner_server mellow_orchestrator_server mellow_review_server mellow_health_check
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY deploy/models/mini-summarizer deploy/models/mini-toxicity DESTINATION "${CMAKE_INSTALL_DATADIR}/mellow/models")
install(DIRECTORY deploy/runs DESTINATION "${CMAKE_INSTALL_DATADIR}/mellow")
install(CODE "
  set(completions \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/bash-completion/completions\")
  file(MAKE_DIRECTORY \"\${completions}\")
  execute_process(COMMAND \"$<TARGET_FILE:mellow>\" completion bash OUTPUT_FILE \"\${completions}/mellow\" COMMAND_ERROR_IS_FATAL ANY)")
