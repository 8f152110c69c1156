// Ends the fuzzer because the program under test broke a promise.

#ifndef MEMFUSE_TESTS_FUZZ_FAIL_H_
#define MEMFUSE_TESTS_FUZZ_FAIL_H_

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace memfuse::fuzz {

// Prints a line and aborts. libFuzzer then stores the input.
[[noreturn]] __attribute__((format(printf, 1, 2))) inline void Fail(const char* format, ...) {
  std::fputs("broken promise: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::abort();
}

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_FAIL_H_
