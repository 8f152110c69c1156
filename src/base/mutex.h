// absl::Mutex with a rank, and with support for ThreadSanitizer.
//
// This class adds two properties to absl::Mutex. Neither has a cost in a release build.
//
//   Rank. Every lock class has a rank, and a thread acquires locks in an order in which the rank
//   rises. It may stay the same only for a class with SameRank::kAllowed, whose locks have an order
//   of their own. A debug build checks the order at each Lock, and aborts with both ranks. (The
//   detector of Abseil records orders between single locks. A directory that moves below another
//   one reverses such an order without a deadlock, so programs switch that detector off; see
//   DisableLockOrderDetector.)
//
//   ThreadSanitizer. Distributions ship Abseil without instrumentation. The sanitizer would not see
//   the ordering through an absl::Mutex, and would report all data that it guards. Under
//   -fsanitize=thread this class informs the sanitizer.
//
// The size is that of absl::Mutex, eight bytes.

#ifndef MEMFUSE_SRC_BASE_MUTEX_H_
#define MEMFUSE_SRC_BASE_MUTEX_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#if defined(__SANITIZE_THREAD__)
#define MEMFUSE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MEMFUSE_TSAN 1
#endif
#endif
#ifndef MEMFUSE_TSAN
#define MEMFUSE_TSAN 0
#endif

#if MEMFUSE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace memfuse::base {

// Whether a thread may hold several locks of one rank.
enum class SameRank : bool { kForbidden, kAllowed };

#ifdef NDEBUG
inline void CheckRankBeforeLock(uint8_t, SameRank) {}
inline void NoteLocked(uint8_t) {}
inline void NoteUnlocked(uint8_t) {}
#else
// Aborts if the calling thread holds a lock of a higher rank, or of the same rank where that is
// forbidden.
void CheckRankBeforeLock(uint8_t rank, SameRank same_rank);
void NoteLocked(uint8_t rank);
void NoteUnlocked(uint8_t rank);
#endif

// Every program (and every test's main) must call it before its first lock.
void DisableLockOrderDetector();

// A thread that serves requests must call it before its first lock. absl::Mutex allocates memory
// when a thread waits for the first time, and ends the process if that fails.
void PrepareThreadForLocks();

template <uint8_t kRank, SameRank kSameRank = SameRank::kForbidden>
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() { TsanCreate(); }
  ~Mutex() { TsanDestroy(); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    CheckRankBeforeLock(kRank, kSameRank);
    TsanPreLock(false);
    mu_.Lock();
    TsanPostLock(false);
    NoteLocked(kRank);
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    NoteUnlocked(kRank);
    TsanPreUnlock(false);
    mu_.Unlock();
    TsanPostUnlock(false);
  }
  void ReaderLock() ABSL_SHARED_LOCK_FUNCTION() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    CheckRankBeforeLock(kRank, kSameRank);
    TsanPreLock(true);
    mu_.ReaderLock();
    TsanPostLock(true);
    NoteLocked(kRank);
  }
  void ReaderUnlock() ABSL_UNLOCK_FUNCTION() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    NoteUnlocked(kRank);
    TsanPreUnlock(true);
    mu_.ReaderUnlock();
    TsanPostUnlock(true);
  }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

 private:
#if MEMFUSE_TSAN
  // The flags are 0: the mutex is not static, and its address identifies it.
  void TsanCreate() { __tsan_mutex_create(this, 0); }
  void TsanDestroy() { __tsan_mutex_destroy(this, 0); }
  void TsanPreLock(bool read) { __tsan_mutex_pre_lock(this, read ? __tsan_mutex_read_lock : 0); }
  void TsanPostLock(bool read) {
    __tsan_mutex_post_lock(this, read ? __tsan_mutex_read_lock : 0, 0);
  }
  void TsanPreUnlock(bool read) {
    __tsan_mutex_pre_unlock(this, read ? __tsan_mutex_read_lock : 0);
  }
  void TsanPostUnlock(bool read) {
    __tsan_mutex_post_unlock(this, read ? __tsan_mutex_read_lock : 0);
  }
#else
  void TsanCreate() {}
  void TsanDestroy() {}
  void TsanPreLock(bool) {}
  void TsanPostLock(bool) {}
  void TsanPreUnlock(bool) {}
  void TsanPostUnlock(bool) {}
#endif

  absl::Mutex mu_;
};

// Hold a Mutex for a scope: MutexLock exclusively, ReaderMutexLock shared.
template <typename M>
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(M* mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_->Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mu_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  M* const mu_;
};

template <typename M>
class ABSL_SCOPED_LOCKABLE ReaderMutexLock {
 public:
  explicit ReaderMutexLock(M* mu) ABSL_SHARED_LOCK_FUNCTION(mu) : mu_(mu) { mu_->ReaderLock(); }
  ~ReaderMutexLock() ABSL_UNLOCK_FUNCTION() { mu_->ReaderUnlock(); }
  ReaderMutexLock(const ReaderMutexLock&) = delete;
  ReaderMutexLock& operator=(const ReaderMutexLock&) = delete;

 private:
  M* const mu_;
};

}  // namespace memfuse::base

#endif  // MEMFUSE_SRC_BASE_MUTEX_H_
