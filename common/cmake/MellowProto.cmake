# mellow_proto(policy_proto mellow/policy/v1/policy.proto DEPS mellow::common_proto)
# Messages and gRPC stubs as one static library. (CMake 3.25's protobuf_generate cannot run the gRPC plugin.)
find_program(MELLOW_PROTOC protoc REQUIRED)
find_program(MELLOW_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)

function(mellow_proto name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  set(out "${CMAKE_BINARY_DIR}/gen")
  file(MAKE_DIRECTORY "${out}")
  set(sources)
  foreach(proto ${arg_UNPARSED_ARGUMENTS})
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    # In the order of protoc's dependency file: ninja takes a rule whose first output is another one for out of date, forever.
    set(made "${out}/${stem}.grpc.pb.cc" "${out}/${stem}.pb.cc")
    add_custom_command(
      OUTPUT ${made} "${out}/${stem}.pb.h" "${out}/${stem}.grpc.pb.h"
      COMMAND ${MELLOW_PROTOC} -I "${CMAKE_SOURCE_DIR}/proto" --cpp_out=${out} --grpc_out=${out}
              --plugin=protoc-gen-grpc=${MELLOW_GRPC_PLUGIN} --dependency_out=${out}/${stem}.d "${CMAKE_SOURCE_DIR}/proto/${proto}"
      DEPENDS "${CMAKE_SOURCE_DIR}/proto/${proto}"
      DEPFILE "${out}/${stem}.d"
      VERBATIM)
    list(APPEND sources ${made})
  endforeach()
  add_library(mellow_${name} STATIC ${sources})
  add_library(mellow::${name} ALIAS mellow_${name})
  set_target_properties(mellow_${name} PROPERTIES UNITY_BUILD OFF)  # generated files share names
  target_include_directories(mellow_${name} SYSTEM PUBLIC "${out}")
  target_link_libraries(mellow_${name} PUBLIC gRPC::grpc++ protobuf::libprotobuf ${arg_DEPS})
endfunction()
