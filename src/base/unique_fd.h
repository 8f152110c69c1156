// A file descriptor that is closed when its owner is destroyed.

#ifndef MEMFUSE_SRC_BASE_UNIQUE_FD_H_
#define MEMFUSE_SRC_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace memfuse::base {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  // close(2) is not repeated on EINTR, because Linux has closed the descriptor in that case too.
  void reset(int fd = -1) {
    if (const int old = std::exchange(fd_, fd); old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_UNIQUE_FD_H_
