#include "src/cli/hang_watch.h"

#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <new>
#include <system_error>

#include "absl/time/time.h"
#include "src/base/deadline.h"
#include "src/base/memory_guard.h"
#include "src/base/mutex.h"
#include "src/base/thread_name.h"

namespace memfuse::cli {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kTimeForStack = absl::Seconds(5);

}  // namespace

HangWatch::HangWatch(int timeout, Session* session, const keeper::Client* keeper) noexcept
    : timeout_(timeout),
      session_(*session),
      keeper_(*keeper),
      keeper_pid_(keeper::Client::keeper_pid()) {
  try {
    if (over_.valid()) thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error&) {
    // No thread.
  } catch (const std::bad_alloc&) {
    // No memory for one: the server goes on without.
  }
  if (thread_.joinable()) return;
  base::WithMemory([] {
    LOG(WARNING)
        << "--hang_timeout has no effect: too many threads or open files, or out of memory";
  });
}

HangWatch::~HangWatch() {
  if (!thread_.joinable()) return;
  over_.Set();
  thread_.join();
}

void HangWatch::Run() {
  base::SetThreadName("memfuse-watch");
  base::PrepareThreadForLocks();
  while (!over_.WaitUntil(base::Deadline::After(kInterval))) {
    const int hanging = session_.FindHangingWorker(timeout_);
    if (hanging < 0 || keeper::Client::keeper_pid() != keeper_pid_) continue;
    if (!session_.AbortWorker(hanging, [this] { keeper_.ReportHanging(); })) continue;
    if (over_.WaitUntil(base::Deadline::After(kTimeForStack))) return;
    kill(getpid(), SIGKILL);
  }
}

}  // namespace memfuse::cli
