// Ends a server that hangs.

#ifndef MEMFUSE_SRC_CLI_HANG_WATCH_H_
#define MEMFUSE_SRC_CLI_HANG_WATCH_H_

#include <sys/types.h>

#include <thread>

#include "memfuse/session.h"
#include "src/base/event.h"
#include "src/keeper/keeper.h"

namespace memfuse::cli {

// A thread that looks once a second whether a worker of the session has been serving one request
// for too long. It counts the looks. While any worker is in a long operation (memfuse/host.h), a
// look counts as a tenth. When a worker has reached the timeout, the thread tells the keeper, and
// sends the worker SIGABRT, so that the stack of the worker is logged. If the process is alive five
// seconds later, the thread sends it SIGKILL. It does nothing if the worker is in an
// uninterruptible sleep, or if the keeper has died: the process is then the only one that has the
// files. It takes no lock of the file system, and does not log.
class HangWatch {
 public:
  // `timeout`: seconds, > 0. Requires: both outlive the object. If no thread or event can be made,
  // hangs are not found, and the log says so. Throws nothing.
  HangWatch(int timeout, Session* session, const keeper::Client* keeper) noexcept;
  ~HangWatch();
  HangWatch(const HangWatch&) = delete;
  HangWatch& operator=(const HangWatch&) = delete;

 private:
  void Run();

  const int timeout_;
  Session& session_;
  const keeper::Client& keeper_;
  const pid_t keeper_pid_;
  base::Event over_;
  std::thread thread_;
};

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_HANG_WATCH_H_
