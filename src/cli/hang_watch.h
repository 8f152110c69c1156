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
// for too long. It then tells the keeper and ends the process by SIGABRT, so that the stack of the
// worker is logged, or by SIGKILL if that has no effect within five seconds. It takes no lock that
// a request needs, and does not log. It does nothing if the keeper has died: the process is then
// the only one that has the files.
class HangWatch {
 public:
  // `timeout`: seconds, > 0. Requires: both outlive the object. If no thread can be started, hangs
  // are not found, and the log says so.
  HangWatch(int timeout, Session* session, const keeper::Client* keeper);
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
