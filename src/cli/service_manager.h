// What systemd is told about this process (sd_notify(3)), and how it reads the log.
//
// Nothing is told unless the service manager asked for it (NOTIFY_SOCKET). There is no WATCHDOG=1:
// proof that requests are answered would be a request of the daemon's own to its mount, and what
// follows on a late answer is a kill. On a machine that swaps or was suspended that would throw
// away data which is only slow.

#ifndef MEMFUSE_SRC_CLI_SERVICE_MANAGER_H_
#define MEMFUSE_SRC_CLI_SERVICE_MANAGER_H_

#include "absl/strings/string_view.h"

namespace memfuse::cli {

// Says nothing from here on, nor will a helper program: in the background, the socket belongs to
// the service of whoever started this process. To be called before there is any thread.
void ForgetServiceManager();

// The mount can be used. `status` is what 'systemctl status' shows; like all texts here it is made
// one line.
void NotifyReady(absl::string_view status);

// The same again, with other words: what is served has changed.
void NotifyStatus(absl::string_view status);

// It begins to unmount.
void NotifyStopping(absl::string_view status);

// It ends because of `sentence`; `error` is an errno value, 0 if there is none.
void NotifyFailure(absl::string_view sentence, int error);

// Whether standard error is a stream to the journal: it adds the time by itself, and takes a
// priority as sd-daemon(3) writes it, "<6>", at the beginning of a line.
bool StderrIsJournal();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_SERVICE_MANAGER_H_
