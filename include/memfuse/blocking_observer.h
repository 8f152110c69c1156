// Notifications about threads that block or compute for a long time inside an operation.
//
// A session serves requests with few threads. An operation that allocates, copies or frees
// gigabytes, or that waits for the effect of another request, keeps its thread from serving other
// requests. As many such operations as there are threads would stop the session. An operation
// therefore reports the time for which its thread is busy, and a spare worker serves requests
// during that time.

#ifndef MEMFUSE_BLOCKING_OBSERVER_H_
#define MEMFUSE_BLOCKING_OBSERVER_H_

namespace memfuse {

// Receives the reports of the threads that serve requests. Neither call fails. If no other thread
// is available, the number of serving threads is lower until EndBlocking.
class BlockingObserver {
 public:
  virtual ~BlockingObserver() = default;

  // Requires: the calling thread serves a request and holds no lock, because BeginBlocking may
  // start a thread. From BeginBlocking until EndBlocking the calling thread serves no other
  // request. BeginBlocking costs about as much as waking a thread.
  virtual void BeginBlocking() = 0;
  virtual void EndBlocking() = 0;
};

// Calls BeginBlocking in the constructor and EndBlocking in the destructor. Does nothing if the
// observer is null or `worth` is false.
class ScopedBlockingCall {
 public:
  explicit ScopedBlockingCall(BlockingObserver* blocking_observer, bool worth = true)
      : blocking_observer_(worth ? blocking_observer : nullptr) {
    if (blocking_observer_ != nullptr) blocking_observer_->BeginBlocking();
  }
  ~ScopedBlockingCall() {
    if (blocking_observer_ != nullptr) blocking_observer_->EndBlocking();
  }
  ScopedBlockingCall(const ScopedBlockingCall&) = delete;
  ScopedBlockingCall& operator=(const ScopedBlockingCall&) = delete;

 private:
  BlockingObserver* const blocking_observer_;
};

}  // namespace memfuse

#endif  // MEMFUSE_BLOCKING_OBSERVER_H_
