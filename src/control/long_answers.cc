#include "src/control/long_answers.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include "src/base/thread_name.h"

namespace memfuse::control {

class LongAnswers::Job {
 public:
  Job(std::optional<uid_t> user, bool of_administrator, std::unique_ptr<LongAnswer> work, Done then)
      : uid(user),
        privileged(of_administrator),
        latest(base::MonotonicClock::now() + kMaxWait),
        answer(std::move(work)),
        done(std::move(then)) {}

  // Constant, but `response`, which the thread sets while the job is in running_.
  const std::optional<uid_t> uid;
  const bool privileged;
  const base::MonotonicTime latest;  // at which the computation begins
  const std::unique_ptr<LongAnswer> answer;
  Done done;
  HttpResponse response;
};

LongAnswers::LongAnswers(int descriptor, std::string thread_name)
    : descriptor_(descriptor), thread_name_(std::move(thread_name)) {}

LongAnswers::~LongAnswers() {
  {
    base::MutexLock lock(&mu_);
    stop_ = true;
    for (Job& job : running_) job.answer->Cancel();
  }
  changed_.Notify();
  if (thread_.joinable()) thread_.join();
}

LongAnswers::Job* LongAnswers::Submit(std::optional<uid_t> uid, bool privileged,
                                      std::unique_ptr<LongAnswer> answer, Done done) {
  std::list<Job> made;
  made.emplace_back(uid, privileged, std::move(answer), std::move(done));
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { Run(); });
    } catch (const std::system_error&) {
      return nullptr;
    }
  }
  Job* const job = &made.back();
  {
    base::MutexLock lock(&mu_);
    size_t others = 0;
    size_t of_user = 0;
    for (const std::list<Job>* const jobs : {&waiting_, &running_}) {
      for (const Job& present : *jobs) {
        if (!present.privileged) ++others;
        if (uid.has_value() && present.uid == uid) ++of_user;
      }
    }
    if (waiting_.size() + running_.size() >= kMaxJobs) return nullptr;
    if (!privileged && (others >= kMaxJobs / 2 || of_user >= kMaxOfUser)) return nullptr;
    auto behind = waiting_.end();
    if (privileged) {
      behind = std::find_if(waiting_.begin(), waiting_.end(),
                            [](const Job& waiting) { return !waiting.privileged; });
      for (Job& running : running_) {
        if (!running.privileged) running.answer->Cancel();
      }
    }
    waiting_.splice(behind, made);
  }
  changed_.Notify();
  return job;
}

void LongAnswers::Cancel(Job* job) {
  bool finished = false;
  {
    base::MutexLock lock(&mu_);
    job->answer->Cancel();
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (&*it != job) continue;
      finished_.splice(finished_.end(), waiting_, it);
      finished = true;
      break;
    }
  }
  if (finished) Notify();
}

void LongAnswers::Deliver() {
  std::list<Job> ready;
  {
    base::MutexLock lock(&mu_);
    ready.swap(finished_);
  }
  for (Job& job : ready) {
    try {
      job.done(std::move(job.response));
    } catch (const std::exception&) {
      // The client gets no answer; its connection ends with `done`.
    }
  }
}

void LongAnswers::Run() noexcept {
  base::PrepareThreadForLocks();
  base::SetThreadName(thread_name_.c_str());
  // Below the server's thread, and far below the workers. SCHED_IDLE would be too low: the thread
  // takes locks that requests wait for.
  constexpr int kNice = 15;
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  for (;;) {
    const uint64_t seen = changed_.version();
    Job* job = nullptr;
    {
      base::MutexLock lock(&mu_);
      if (stop_) return;
      if (!waiting_.empty()) {
        running_.splice(running_.end(), waiting_, waiting_.begin());
        job = &running_.back();
      }
    }
    if (job == nullptr) {
      changed_.WaitForChange(seen);
      continue;
    }
    try {
      if (base::MonotonicClock::now() <= job->latest) {
        job->response = job->answer->Compute();
      } else {
        job->response = {503, "{\"error\":\"other questions took too long; ask again later\"}\n"};
      }
    } catch (const std::exception&) {
      job->response.status = 500;  // the body stays empty: there is no memory
    }
    {
      base::MutexLock lock(&mu_);
      finished_.splice(finished_.end(), running_);
    }
    Notify();
  }
}

void LongAnswers::Notify() {
  // It fails only if the descriptor is readable already.
  (void)eventfd_write(descriptor_, 1);
}

}  // namespace memfuse::control
