// An intrusive counted pointer of eight bytes. The count is stored in the object.

#ifndef MEMFUSE_SRC_BASE_REF_PTR_H_
#define MEMFUSE_SRC_BASE_REF_PTR_H_

#include <atomic>
#include <cstdint>
#include <utility>

namespace memfuse::base {

// The base of counted classes. The count starts at one, and the code that made the object owns that
// count (RefPtr::Adopt).
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void Ref() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  // Removing the last count deletes the object. acq_rel: that thread must see what the others wrote
  // before they removed theirs.
  void Unref() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  // Returns whether the caller's count is the only one. If so, the caller also sees what other
  // threads wrote before they removed theirs.
  bool unique() const { return refs_.load(std::memory_order_acquire) == 1; }

 protected:
  virtual ~RefCounted() = default;

 private:
  mutable std::atomic<uint32_t> refs_{1};
};

template <typename T>
class RefPtr {
 public:
  RefPtr() = default;
  RefPtr(std::nullptr_t) {}  // NOLINT: as std::shared_ptr
  // Adds a count.
  explicit RefPtr(T* object) : object_(object) {
    if (object_ != nullptr) object_->Ref();
  }
  // Takes over a count that the caller owns.
  static RefPtr Adopt(T* object) {
    RefPtr p;
    p.object_ = object;
    return p;
  }
  RefPtr(const RefPtr& other) : RefPtr(other.object_) {}
  RefPtr(RefPtr&& other) noexcept : object_(other.release()) {}
  template <typename U>
  RefPtr(RefPtr<U>&& other) noexcept : object_(other.release()) {}  // NOLINT: to a base class
  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~RefPtr() {
    if (object_ != nullptr) object_->Unref();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  T* release() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_REF_PTR_H_
