// The service manager's end of sd_notify(3).

#ifndef MEMFUSE_TESTS_CLI_NOTIFY_SOCKET_H_
#define MEMFUSE_TESTS_CLI_NOTIFY_SOCKET_H_

#include <string>

#include "absl/time/time.h"
#include "src/base/unique_fd.h"
#include "tests/cli/temporary_directory.h"

namespace memfuse::cli {

// A socket in NOTIFY_SOCKET, for programs that are started during the lifetime of this object.
class NotifySocket {
 public:
  NotifySocket();
  ~NotifySocket();
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // The next message; empty if none arrives in time.
  std::string Receive(absl::Duration timeout = absl::Seconds(60));

 private:
  TemporaryDirectory directory_;
  base::UniqueFd socket_;
};

}  // namespace memfuse::cli

#endif  // MEMFUSE_TESTS_CLI_NOTIFY_SOCKET_H_
