// Matchers for Result<T>: EXPECT_THAT(fs.Mkdir(...), Fails(EEXIST)), EXPECT_THAT(..., Succeeds()).

#ifndef MEMFUSE_TESTS_TESTING_RESULT_MATCHERS_H_
#define MEMFUSE_TESTS_TESTING_RESULT_MATCHERS_H_

#include <gmock/gmock.h>

#include <cstring>
#include <string>

#include "memfuse/errno.h"

namespace memfuse::test {

MATCHER_P(Fails, errno_value, std::string("fails with ") + std::strerror(errno_value)) {
  const int error = arg.error_or_zero();
  *result_listener << (error == 0 ? "which succeeded" : std::strerror(error));
  return error == errno_value;
}

MATCHER(Succeeds, "") {
  if (!arg.ok()) *result_listener << std::strerror(arg.error_or_zero());
  return arg.ok();
}

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_RESULT_MATCHERS_H_
