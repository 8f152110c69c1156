// Names the calling thread, for top -H and debuggers. At most 15 bytes are kept.

#ifndef MEMFUSE_SRC_BASE_THREAD_NAME_H_
#define MEMFUSE_SRC_BASE_THREAD_NAME_H_

#include <pthread.h>

#include <algorithm>
#include <string_view>

namespace memfuse::base {

inline void SetThreadName(std::string_view name) noexcept {
  char text[16] = {};
  std::copy_n(name.data(), std::min(name.size(), sizeof(text) - 1), text);
  pthread_setname_np(pthread_self(), text);
}

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_THREAD_NAME_H_
