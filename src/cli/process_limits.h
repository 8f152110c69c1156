// What a process inherits from the shell that starts it, and what of it must not reach a daemon
// that keeps the files of others.
//
// The user who mounts may have bounded the own programs (ulimit, nice, chrt), or may have been
// bounded by a batch system. Each thing that a process inherits is one of these:
//
//   lifted     limits on CPU time and file size: they end the daemon, and all files are lost; they
//              were meant for programs that finish. As far as the process may: a privileged one
//              lifts the hard limit, too.
//              AS, DATA, NOFILE, NPROC, MEMLOCK, SIGPENDING, STACK: up to the hard limit. What then
//              runs out is an error of one request, or of the start.
//              Timer slack, the mask and dispositions of signals. In the background also nice and
//              the scheduling policy: a daemon that runs only when the machine is idle makes every
//              user of its files wait.
//   harmless   SIGXCPU, SIGXFSZ, SIGPIPE, SIGHUP, SIGIO and SIGCHLD have no effect on the daemon.
//              RLIMIT_STACK does not count: threads have a stack size of their own. RSS, LOCKS and
//              MSGQUEUE bound nothing that the daemon does. I/O priority: it reads no disk.
//              personality(2), seccomp filters and securebits cannot be undone; nothing here needs
//              what they forbid. A parent-death signal and interval timers are gone after fork(2).
//   kept       CORE, the core filter and the dumpable state, because the administrator decides on
//              core files (file data is left out of them). RTPRIO and NICE, which are permissions.
//              CPU affinity, the memory policy and the control group, because they are the share of
//              the machine that the mount is paid from, and cannot always be left. In the
//              foreground also nice, the policy, timers and the parent-death signal: there they are
//              the choice of the administrator of the service (Nice=, CPUSchedulingPolicy=,
//              timeout(1)).
//
// oom_score.h has the rest.

#ifndef MEMFUSE_SRC_CLI_PROCESS_LIMITS_H_
#define MEMFUSE_SRC_CLI_PROCESS_LIMITS_H_

#include <string>
#include <vector>

namespace memfuse::cli {

// Lifts the resource limits. To be called before there is a second thread. Returns one sentence for
// each limit that stays and can end the daemon.
std::vector<std::string> RaiseResourceLimits();

// Sets the mask and the dispositions of signals, timer slack and the stack size of later threads.
// `background`: also nice and the scheduling policy, as far as the process may. To be called before
// there is a second thread.
void ResetInheritedState(bool background);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_PROCESS_LIMITS_H_
