// Maps of files, and accesses to them that fail.

#ifndef MEMFUSE_TESTS_CONFORMANCE_MAP_H_
#define MEMFUSE_TESTS_CONFORMANCE_MAP_H_

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>

namespace memfuse::conformance {

inline constexpr size_t kPage = 4096;
inline constexpr int kReadWrite = PROT_READ | PROT_WRITE;

// A mapping that is unmapped at the end of its scope.
class Map {
 public:
  Map(int fd, size_t length, int protection, int flags, off_t offset = 0)
      : length_(length), at_(mmap(nullptr, length, protection, flags, fd, offset)), error_(errno) {}
  ~Map() {
    if (at_ != MAP_FAILED) munmap(at_, length_);
  }
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;
  int error() const { return at_ == MAP_FAILED ? error_ : 0; }
  char* data() const { return static_cast<char*>(at_); }
  volatile char& operator[](size_t i) const { return static_cast<volatile char*>(at_)[i]; }
  char Load(size_t i) const { return (*this)[i]; }
  std::string Text(size_t from, size_t size) const { return std::string(data() + from, size); }
  void Store(size_t at, const std::string& text) const {
    std::memcpy(data() + at, text.data(), text.size());
  }

 private:
  size_t length_;
  void* at_;
  int error_;
};

inline sigjmp_buf g_bus_error;

// Whether `access` causes SIGBUS.
inline bool IsBusError(const std::function<void()>& access) {
  struct sigaction action = {}, old;
  action.sa_handler = [](int) { siglongjmp(g_bus_error, 1); };
  sigaction(SIGBUS, &action, &old);
  volatile bool fault = false;
  if (sigsetjmp(g_bus_error, 1) == 0) {
    access();
  } else {
    fault = true;
  }
  sigaction(SIGBUS, &old, nullptr);
  return fault;
}

}  // namespace memfuse::conformance

#endif  // MEMFUSE_TESTS_CONFORMANCE_MAP_H_
