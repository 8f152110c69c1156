// Threads that serve in the place of others, for as long as these are busy with one request
// (memfuse/seat.h).
//
// A stand-in is a worker like any other, on a descriptor of its own, but for one thing: when there
// are more stand-ins than threads that are away, it waits before its next request. It is started
// when it is needed first and stays; to wake it costs less. One that has nothing to do any more,
// but reads already, serves one request too many, which does no harm.
//
//   serving <= away     each of them has somebody to stand in for, but for those that just finished
//   started <= most     started = serving + parked

#ifndef MEMFUSE_SRC_TRANSPORT_SEATS_H_
#define MEMFUSE_SRC_TRANSPORT_SEATS_H_

#include <semaphore.h>

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "memfuse/seat.h"
#include "src/base/mutex.h"

namespace memfuse::transport {

// All methods from any thread.
class Seats final : public Seat {
 public:
  // `start` makes one more thread serve, which calls AwaitTurn before each request; false: none can
  // be had. It is called without a lock, by whoever leaves.
  Seats(int most, std::function<bool()> start);
  ~Seats() override;

  void Leave() override;
  void Return() override;

  // Of a stand-in: returns when it is needed, or after Close. Calls `rest` before it waits.
  void AwaitTurn(absl::FunctionRef<void()> rest);

  // Nobody is waited for, woken or started from now on; who waits returns.
  void Close();

 private:
  // Inside the session's lock, and never held over `start_`.
  using Lock = base::Mutex<10>;

  const int most_;
  const std::function<bool()> start_;
  sem_t turns_;  // own synchronisation; one for each that is woken

  Lock mu_;
  int away_ ABSL_GUARDED_BY(mu_) = 0;
  int serving_ ABSL_GUARDED_BY(mu_) = 0;
  int parked_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_SEATS_H_
