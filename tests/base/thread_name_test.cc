#include "src/base/thread_name.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <thread>

namespace memfuse::base {
namespace {

// The name a new thread has after SetThreadName(name).
std::string NameAfter(const std::string& name) {
  char buffer[32] = {};
  std::thread([&] {
    SetThreadName(name);
    pthread_getname_np(pthread_self(), buffer, sizeof(buffer));
  }).join();
  return buffer;
}

TEST(SetThreadName, KeepsFifteenBytes) {
  EXPECT_EQ(NameAfter("worker"), "worker");
  EXPECT_EQ(NameAfter("123456789012345"), "123456789012345");
  EXPECT_EQ(NameAfter("1234567890123456"), "123456789012345");
  EXPECT_EQ(NameAfter(""), "");
}

}  // namespace
}  // namespace memfuse::base
