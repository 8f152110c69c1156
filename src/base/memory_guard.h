// For code that must go on where memory is short: threads, destructors, handlers of exceptions.

#ifndef MEMFUSE_SRC_BASE_MEMORY_GUARD_H_
#define MEMFUSE_SRC_BASE_MEMORY_GUARD_H_

#include <cerrno>
#include <cstddef>
#include <new>
#include <utility>

namespace memfuse::base {

// Calls `f`, which does what can be left out (a line of the log, a word to the service manager).
// False: there was no memory for all of it. errno is what it was when `f` is called.
//
// glog and what else `f` calls may allocate where an exception cannot be thrown, in the destructor
// of a message for instance, and std::bad_alloc would end the process there. So `f` is called only
// where a block of kProbe bytes can be had.
template <typename F>
bool WithMemory(F&& f) noexcept {
  constexpr size_t kProbe = 64 << 10;
  const int error = errno;
  // Not a new-expression, which a compiler may leave out.
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
