include(GoogleTest)

# mellow_optimize(3): in Release -O3 instead of -O2 for the targets of this folder and those below it. What computes has 3, what waits for
# others, or for a person, 1, a test 0: what is optimized takes up to half as long again to compile.
macro(mellow_optimize level)
  add_compile_options($<$<CONFIG:Release>:-O${level}>)
endmacro()

# mellow_library(text SRCS a.cc DEPS mellow::base): static library mellow_text with the alias mellow::text.
# Link only what the dependency rule of ARCHITECTURE.md allows: that is what enforces it.
function(mellow_library name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(mellow_${name} STATIC ${arg_SRCS})
  add_library(mellow::${name} ALIAS mellow_${name})
  target_link_libraries(mellow_${name} PUBLIC mellow_flags ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
endfunction()

# mellow_binary(mellow_policy_server SRCS main.cc DEPS ...)
function(mellow_binary name)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  target_link_libraries(${name} PRIVATE mellow_flags ${arg_DEPS})
endfunction()

# mellow_test(x_test SRCS x_test.cc DEPS mellow::x LABELS unit [TIMEOUT 300] [OUTSIDE_DATA "RealTest.*"]): one GoogleTest binary,
# one CTest entry. Committed test data: SourceTree() of tests/testing/source_tree.h.
# OUTSIDE_DATA: the tests that this filters ("*": all of them) need data that is not ours (tests/testing/outside_data.h); each has an entry of
# its own, which CTest shows as skipped when the test skips itself.
function(mellow_test name)
  cmake_parse_arguments(arg "" "TIMEOUT;OUTSIDE_DATA" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${arg_SRCS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_precompile_headers(${name} REUSE_FROM mellow_test_headers)
  target_compile_options(${name} PRIVATE -pthread)  # some libraries ask for it, and a precompiled header wants the same flags of all
  target_link_libraries(${name} PRIVATE mellow_flags ${arg_DEPS} mellow::source_tree mellow::sanitizer_options GTest::gmock GTest::gtest_main)
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  # libtorch's threads spin while they wait for each other: beside another job on the same cores that costs ten times a test's own work.
  set(torch_threads ENVIRONMENT_MODIFICATION OMP_NUM_THREADS=set:1)
  foreach(sanitizer address thread)
    if(name IN_LIST MELLOW_${sanitizer}_TESTS)
      list(APPEND arg_LABELS ${sanitizer})
      add_dependencies(${sanitizer}_tests ${name})
    endif()
  endforeach()
  if(arg_OUTSIDE_DATA)
    # A test that fails is never said to be skipped: GoogleTest prints what CTest looks for only of tests that did not.
    gtest_discover_tests(${name} TEST_PREFIX ${name}. TEST_FILTER "${arg_OUTSIDE_DATA}" DISCOVERY_MODE PRE_TEST
                         PROPERTIES LABELS ${arg_LABELS} TIMEOUT ${arg_TIMEOUT} ${torch_threads})
  endif()
  if(NOT arg_OUTSIDE_DATA STREQUAL "*")
    add_test(NAME ${name} COMMAND ${name})
    if(arg_OUTSIDE_DATA)
      set_tests_properties(${name} PROPERTIES ENVIRONMENT "GTEST_FILTER=-${arg_OUTSIDE_DATA}")
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} ${torch_threads})
  endif()
endfunction()
