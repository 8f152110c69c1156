// How an operation lets others be served while it takes its time.
//
// A session serves with few threads, and one that allocates, copies or frees gigabytes, or waits
// for what another request will bring, serves nobody meanwhile; as many such operations as there
// are threads would hold everybody up. So an operation gives its seat away for as long as it is
// busy: another thread serves in its place.

#ifndef MEMFUSE_SEAT_H_
#define MEMFUSE_SEAT_H_

namespace memfuse {

// The place of the calling thread among those that serve. Neither call fails: where no other thread
// can be had, the seat is empty meanwhile.
class BlockingObserver {
 public:
  virtual ~BlockingObserver() = default;

  // The calling thread serves nobody until it returns. It costs about as much as waking a thread.
  // Without locks: it may start one.
  virtual void BeginBlocking() = 0;
  virtual void EndBlocking() = 0;
};

// Leaves a seat for the time of a scope; does nothing without one (null), or if it is not `worth`
// it.
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

#endif  // MEMFUSE_SEAT_H_
