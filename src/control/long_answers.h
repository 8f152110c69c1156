// A thread that computes long answers, one after the other, beside the server's thread.
//
// Bounds: at most kMaxJobs answers are waited for or computed, of which those that are not for an
// administrator are at most half, and at most kMaxOfUser for one user. The clients of a TCP port
// have no identity: only the bound of one half applies to them. An answer that has waited for
// longer than kMaxWait is not computed any more.
//
// Order: the answers for administrators first, and otherwise as they were asked for. An answer for
// another user that is being computed is cancelled when an administrator waits.

#ifndef MEMFUSE_SRC_CONTROL_LONG_ANSWERS_H_
#define MEMFUSE_SRC_CONTROL_LONG_ANSWERS_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "src/base/event_count.h"
#include "src/base/mutex.h"
#include "src/control/http.h"

namespace memfuse::control {

// All methods but the constructor are called from one thread, the server's.
class LongAnswers {
 public:
  static constexpr size_t kMaxJobs = 16;
  static constexpr size_t kMaxOfUser = 2;
  // A client waits for 30 seconds, and computing takes up to 10.
  static constexpr std::chrono::seconds kMaxWait{15};

  // Receives the answer, in the server's thread.
  using Done = absl::AnyInvocable<void(HttpResponse)>;

  // One answer. The object exists until its Done has returned.
  class Job;

  // `descriptor` is an eventfd, which becomes readable when Deliver has something to do. It must
  // outlive the object. The name of the thread has at most 15 bytes.
  LongAnswers(int descriptor, std::string thread_name);
  // Cancels what is computed, and waits for the thread. No Done is called.
  ~LongAnswers();
  LongAnswers(const LongAnswers&) = delete;
  LongAnswers& operator=(const LongAnswers&) = delete;

  // Computes `answer` on the thread, which the first call starts, and has Deliver call `done`. No
  // `uid`: the client has no identity. `privileged`: for an administrator. Returns null, and `done`
  // is destroyed, if there are too many answers, or no thread can be started. Throws
  // std::bad_alloc.
  Job* Submit(std::optional<uid_t> uid, bool privileged, std::unique_ptr<LongAnswer> answer,
              Done done) ABSL_LOCKS_EXCLUDED(mu_);
  // No client waits for the answer any more. `done` is called nevertheless.
  void Cancel(Job* job) ABSL_LOCKS_EXCLUDED(mu_);
  // Calls Done for each answer that is ready. A Done that throws std::bad_alloc is not called
  // again.
  void Deliver() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Mutex = base::Mutex<50>;  // no other lock is taken under it

  void Run() noexcept;
  // Makes the descriptor readable.
  void Notify();

  const int descriptor_;
  const std::string thread_name_;
  base::EventCount changed_;  // jobs, or the end; has its own synchronisation
  Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  // Jobs move from list to list by splice, which needs no memory.
  std::list<Job> waiting_ ABSL_GUARDED_BY(mu_);  // in the order of their computation
  std::list<Job> running_ ABSL_GUARDED_BY(mu_);  // at most one
  std::list<Job> finished_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // used by the server's thread only
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_LONG_ANSWERS_H_
