#include "tests/testing/allocation_failure.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define MEMFUSE_INTERPOSES_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define MEMFUSE_INTERPOSES_MALLOC 0
#endif
#endif
#ifndef MEMFUSE_INTERPOSES_MALLOC
#define MEMFUSE_INTERPOSES_MALLOC 1
#endif

namespace {

struct State {
  uint64_t until_failure;  // 0: no allocation fails
  bool rest;
  bool happened;
};
thread_local State state;
thread_local const memfuse::test::AllocationObserver::Function* observer;

bool Fails(size_t size) {
  if (const auto* const function = std::exchange(observer, nullptr); function != nullptr) {
    (*function)(size);
    observer = function;
  }
  if (state.until_failure == 0) return false;
  if (state.until_failure > 1) {
    --state.until_failure;
    return false;
  }
  state.happened = true;
  if (!state.rest) state.until_failure = 0;
  return true;
}

}  // namespace

#if MEMFUSE_INTERPOSES_MALLOC

extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) noexcept {
  if (!Fails(size)) return __libc_malloc(size);
  errno = ENOMEM;
  return nullptr;
}

void* calloc(size_t count, size_t size) noexcept {
  if (!Fails(count * size)) return __libc_calloc(count, size);
  errno = ENOMEM;
  return nullptr;
}

void* realloc(void* block, size_t size) noexcept {
  if (!Fails(size)) return __libc_realloc(block, size);
  errno = ENOMEM;
  return nullptr;
}

void* aligned_alloc(size_t alignment, size_t size) noexcept {
  if (!Fails(size)) return __libc_memalign(alignment, size);
  errno = ENOMEM;
  return nullptr;
}

}  // extern "C"

#else

// NOLINTBEGIN(misc-definitions-in-headers)
void* operator new(size_t size) {
  void* const block = Fails(size) ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return Fails(size) ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void* operator new[](size_t size) { return operator new(size); }
void* operator new[](size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete[](void* block, size_t) noexcept { std::free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { std::free(block); }
// NOLINTEND(misc-definitions-in-headers)

#endif

namespace memfuse::test {

AllocationFailure::AllocationFailure(uint64_t number, Kind kind) {
  state = {number, kind == Kind::kRest, false};
}

AllocationFailure::~AllocationFailure() { state = {}; }

bool AllocationFailure::InterposesMalloc() { return MEMFUSE_INTERPOSES_MALLOC != 0; }

bool AllocationFailure::happened() const { return state.happened; }

AllocationObserver::AllocationObserver(const Function& function) { observer = &function; }

AllocationObserver::~AllocationObserver() { observer = nullptr; }

}  // namespace memfuse::test
