// For code that must continue if memory is exhausted: threads, destructors, exception handlers.

#ifndef MEMFUSE_SRC_BASE_MEMORY_GUARD_H_
#define MEMFUSE_SRC_BASE_MEMORY_GUARD_H_

#include <cerrno>
#include <cstddef>
#include <new>
#include <utility>

namespace memfuse::base {

// Calls `f`, whose work is optional (a line of the log, a message to the service manager). Returns
// false if there was not enough memory to complete it. `f` sees the errno of the caller.
//
// glog and other code that `f` calls may allocate where an exception cannot be thrown, for instance
// in the destructor of a message. std::bad_alloc would end the process there. `f` is therefore
// called only if a block of kProbe bytes can be allocated.
template <typename F>
bool WithMemory(F&& f) noexcept {
  constexpr size_t kProbe = 64 << 10;
  const int error = errno;
  // Not a new-expression, because a compiler may omit one.
  void* const probe = ::operator new(kProbe, std::nothrow);
  const bool any = probe != nullptr;
  ::operator delete(probe);
  errno = error;
  if (!any) return false;
  try {
    std::forward<F>(f)();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_MEMORY_GUARD_H_
