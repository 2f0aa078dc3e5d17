# mellow_proto(policy_proto mellow/policy/v1/policy.proto DEPS mellow::common_proto)
# Messages and gRPC stubs, of the files that have services, as one static library. (CMake 3.25's protobuf_generate cannot run the gRPC plugin.)
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
    set(made "${out}/${stem}.pb.cc")
    set(headers "${out}/${stem}.pb.h")
    set(stubs)
    file(STRINGS "${CMAKE_SOURCE_DIR}/proto/${proto}" services REGEX "^service ")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/proto/${proto}")
    if(services)
      list(PREPEND made "${out}/${stem}.grpc.pb.cc")
      list(APPEND headers "${out}/${stem}.grpc.pb.h")
      set(stubs --grpc_out=${out} --plugin=protoc-gen-grpc=${MELLOW_GRPC_PLUGIN})
    endif()
    add_custom_command(
      OUTPUT ${made} ${headers}
      COMMAND ${MELLOW_PROTOC} -I "${CMAKE_SOURCE_DIR}/proto" --cpp_out=${out} ${stubs} --dependency_out=${out}/${stem}.d
              "${CMAKE_SOURCE_DIR}/proto/${proto}"
      DEPENDS "${CMAKE_SOURCE_DIR}/proto/${proto}"
      DEPFILE "${out}/${stem}.d"
      VERBATIM)
    # Messages of several files define the same names; stubs do not.
    set_source_files_properties("${out}/${stem}.pb.cc" PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    list(APPEND sources ${made})
  endforeach()
  add_library(mellow_${name} STATIC ${sources})
  add_library(mellow::${name} ALIAS mellow_${name})
  target_include_directories(mellow_${name} SYSTEM PUBLIC "${out}")
  target_link_libraries(mellow_${name} PUBLIC gRPC::grpc++ protobuf::libprotobuf ${arg_DEPS})
endfunction()
