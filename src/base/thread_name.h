// Names the calling thread, as top -H and debuggers show it; at most 15 bytes are kept.

#ifndef MEMFUSE_SRC_BASE_THREAD_NAME_H_
#define MEMFUSE_SRC_BASE_THREAD_NAME_H_

#include <pthread.h>

#include <string>

namespace memfuse::base {

inline void SetThreadName(std::string name) {
  name.resize(name.size() < 15 ? name.size() : 15);
  pthread_setname_np(pthread_self(), name.c_str());
}

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_THREAD_NAME_H_
