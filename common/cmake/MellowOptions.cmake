# How the whole tree is compiled.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

option(MELLOW_ASSERTIONS "Keep assert() in optimized builds" OFF)
option(MELLOW_FUZZ "Build the libFuzzer targets (clang)" OFF)
set(MELLOW_SANITIZE "" CACHE STRING "Value of -fsanitize= for every target of ours")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Not every folder is optimized alike: mellow_optimize.
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
if(MELLOW_SANITIZE OR MELLOW_FUZZ)
  # A report needs no more than lines, and clang takes twice as long for instrumented code that it optimizes as for what it does not.
  string(REPLACE "-O2 -g" "-O0 -g1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
endif()
if(MELLOW_ASSERTIONS)
  string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
endif()

find_program(MELLOW_CCACHE ccache)
if(MELLOW_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness lets ccache see through the precompiled headers; the base folder lets every checkout share what another one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${MELLOW_CCACHE})
endif()

# Flags of our own targets only, never of what we link.
add_library(mellow_flags INTERFACE)
target_include_directories(mellow_flags INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(mellow_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The compiler collects its garbage from twice this many kB on, by default from 256 MB; that is a tenth of its time. A job may take 1 GB.
  target_compile_options(mellow_flags INTERFACE --param=ggc-min-heapsize=524288)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(mellow_flags INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(MELLOW_SANITIZE)
  target_compile_options(mellow_flags INTERFACE -fsanitize=${MELLOW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(mellow_flags INTERFACE -fsanitize=${MELLOW_SANITIZE})
  if(MELLOW_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # By this macro the headers of protobuf give classes other members, which the distribution's library was built without. The second is
    # what libstdc++ would have taken from it: how shared_ptr counts where TSan looks.
    target_compile_options(mellow_flags INTERFACE -U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
  endif()
endif()
