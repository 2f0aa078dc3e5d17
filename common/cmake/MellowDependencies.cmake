# What Mellow links: Debian packages by their own CMake files, libtorch and sentencepiece from the cache of deploy/setup.sh.
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(absl REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(PkgConfig REQUIRED)
# Debian builds it as a shared library; its .pc file has the macros that the header needs to match it.
pkg_check_modules(mellow_cpp_httplib REQUIRED IMPORTED_TARGET cpp-httplib)
add_library(mellow_cpp_httplib ALIAS PkgConfig::mellow_cpp_httplib)
if(BUILD_TESTING)
  find_package(GTest REQUIRED)
endif()

if(DEFINED ENV{MELLOW_CACHE})
  set(mellow_cache "$ENV{MELLOW_CACHE}")
else()
  set(mellow_cache "$ENV{HOME}/.cache/mellow")
endif()
set(MELLOW_DEPS "${mellow_cache}/deps-1" CACHE PATH "Where deploy/setup.sh keeps libtorch and sentencepiece")
if(DEFINED ENV{MELLOW_TORCH_ROOT})
  set(mellow_torch_default "$ENV{MELLOW_TORCH_ROOT}")
else()
  set(mellow_torch_default "${MELLOW_DEPS}/torch-2.15.0/torch")
endif()
set(MELLOW_TORCH_ROOT "${mellow_torch_default}" CACHE PATH "libtorch: a folder with include/ and lib/")

if(NOT EXISTS "${MELLOW_TORCH_ROOT}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no libtorch at ${MELLOW_TORCH_ROOT}: run deploy/setup.sh, or set MELLOW_TORCH_ROOT")
endif()
set(mellow_spm "${MELLOW_DEPS}/sentencepiece-0.2.0")
if(NOT EXISTS "${mellow_spm}/lib/libsentencepiece.a")
  message(FATAL_ERROR "no sentencepiece at ${mellow_spm}: run deploy/setup.sh")
endif()

# find_package(Torch) insists on a CUDA toolkit; one imported target does what is needed. RPATH makes the binaries run in place.
set(MELLOW_TORCH_RUNTIME "${MELLOW_TORCH_ROOT}/lib" CACHE PATH "Folder in which the programs look for libtorch when they run")
add_library(mellow_torch INTERFACE)
add_library(torch::cpu ALIAS mellow_torch)
target_include_directories(mellow_torch SYSTEM INTERFACE
  "${MELLOW_TORCH_ROOT}/include" "${MELLOW_TORCH_ROOT}/include/torch/csrc/api/include")
target_link_options(mellow_torch INTERFACE
  "LINKER:--no-as-needed,${MELLOW_TORCH_ROOT}/lib/libtorch_cpu.so,${MELLOW_TORCH_ROOT}/lib/libc10.so,--as-needed"
  "LINKER:-rpath,${MELLOW_TORCH_RUNTIME}"
  "LINKER:-rpath-link,${MELLOW_TORCH_ROOT}/../nvidia/cu13/lib")

add_library(mellow_sentencepiece STATIC IMPORTED)
add_library(sentencepiece::sentencepiece ALIAS mellow_sentencepiece)
set_target_properties(mellow_sentencepiece PROPERTIES IMPORTED_LOCATION "${mellow_spm}/lib/libsentencepiece.a")
target_include_directories(mellow_sentencepiece SYSTEM INTERFACE "${mellow_spm}/include")
# Not the lite library: the services link the full one, which has all of it, and one process needs one.
target_link_libraries(mellow_sentencepiece INTERFACE protobuf::libprotobuf Threads::Threads)

# Debian's prometheus-cpp and SQLite under the names we use.
add_library(prometheus::prometheus ALIAS prometheus-cpp::core)
