// The data of a WRITE in a pipe, as the transport leaves it there.

#ifndef MEMFUSE_TESTS_TESTING_PIPED_PAYLOAD_H_
#define MEMFUSE_TESTS_TESTING_PIPED_PAYLOAD_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "memfuse/payload.h"
#include "src/base/unique_fd.h"

namespace memfuse::test {

class PipedPayload {
 public:
  // At most 1 MiB.
  explicit PipedPayload(const std::string& data) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    out_.reset(ends[0]);
    in_.reset(ends[1]);
    EXPECT_GT(fcntl(in_.get(), F_SETPIPE_SZ, 1 << 20), 0);
    EXPECT_EQ(write(in_.get(), data.data(), data.size()), static_cast<ssize_t>(data.size()));
    pipe_ = {out_.get(), data.size()};
  }

  Payload payload() { return Payload(&pipe_); }
  int descriptor() const { return out_.get(); }

 private:
  base::UniqueFd out_, in_;
  Payload::Pipe pipe_;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_PIPED_PAYLOAD_H_
