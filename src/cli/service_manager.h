// Notifications to systemd about this process (sd_notify(3)), and the log format of the journal.
//
// Nothing is sent unless the service manager requests it (NOTIFY_SOCKET). There is no WATCHDOG=1:
// to prove that requests are answered, the daemon would send a request to its own mount, and
// systemd kills the daemon after a late answer. On a machine that swaps or was suspended, this
// would destroy the data of a daemon that is only slow.

#ifndef MEMFUSE_SRC_CLI_SERVICE_MANAGER_H_
#define MEMFUSE_SRC_CLI_SERVICE_MANAGER_H_

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Turns the notifications off, for this process and its helper programs: in the background, the
// socket belongs to the service that the calling process is part of. Must be called before there is
// any thread.
void ForgetServiceManager();

// The mount can be used. 'systemctl status' shows `status`. Like all texts here it is converted to
// one line.
void NotifyReady(absl::string_view status);

// Replaces the status text, because the limits of the mount have changed.
void NotifyStatus(absl::string_view status);

// The daemon begins to unmount.
void NotifyStopping(absl::string_view status);

// The process ends because of `sentence`; `error` is an errno value, 0 if there is none.
void NotifyFailure(absl::string_view sentence, int error);

// Whether standard error is a stream to the journal. The journal adds the time itself, and accepts
// a priority in the format of sd-daemon(3), "<6>", at the beginning of a line.
bool StderrIsJournal();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_SERVICE_MANAGER_H_
