#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/base/mutex.h"

int main(int argc, char** argv) {
  memfuse::base::DisableLockOrderDetector();
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
