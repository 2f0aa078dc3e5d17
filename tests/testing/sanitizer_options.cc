// What the sanitizers' runtimes ask a program for before it starts: the options that every test and
// fuzz target of ours runs with, however it is started. ASAN_OPTIONS and TSAN_OPTIONS of the
// environment are added to them. In builds without a sanitizer nobody calls these.

extern "C" const char* __asan_default_options() {
  // Pointers into the frame of a function that has returned are looked for, which clang 14 does
  // only when told to.
  return "detect_stack_use_after_return=1";
}

extern "C" const char* __tsan_default_options() {
  // The distribution's gRPC, protobuf and abseil are not instrumented: what they do with their own
  // memory would be reported as races.
  return "ignore_noninstrumented_modules=1";
}
