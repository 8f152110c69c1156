// The state that a process inherits from the shell that starts it, and the parts of it that must
// not apply to a daemon that stores the files of other processes.
//
// The user who mounts may have limited the user's own programs (ulimit, nice, chrt), or a batch
// system may have limited them. Each inherited property is in one of these groups:
//
//   lifted     Limits on CPU time and file size: they would end the daemon, and all files would be
//              lost. These limits are intended for programs that finish. They are lifted as far as
//              the process may: a privileged process lifts the hard limit, too.
//              AS, DATA, NOFILE, NPROC, MEMLOCK, SIGPENDING, STACK: up to the hard limit. Running
//              into that limit is an error of one request, or of the start.
//              Timer slack, the mask and dispositions of signals. In the background also nice and
//              the scheduling policy: a daemon that runs only when the machine is idle would delay
//              every process that uses its files.
//   harmless   SIGXCPU, SIGXFSZ, SIGPIPE, SIGHUP, SIGIO and SIGCHLD have no effect on the daemon.
//              RLIMIT_STACK has no effect: threads have a stack size of their own. RSS, LOCKS and
//              MSGQUEUE limit nothing that the daemon does. I/O priority: the daemon reads no disk.
//              personality(2), seccomp filters and securebits cannot be undone; the daemon needs
//              nothing that they forbid. fork(2) clears a parent-death signal and interval timers.
//   kept       CORE, the core filter and the dumpable state, because the administrator decides on
//              core files (they do not contain file data). RTPRIO and NICE, which are permissions.
//              CPU affinity, the memory policy and the control group, because they define the share
//              of the machine that the mount may use, and a process cannot always leave them. In
//              the foreground also nice, the policy, timers and the parent-death signal: there the
//              administrator of the service chose them (Nice=, CPUSchedulingPolicy=, timeout(1)).
//
// oom_score.h handles the OOM score.

#ifndef MEMFUSE_SRC_CLI_PROCESS_LIMITS_H_
#define MEMFUSE_SRC_CLI_PROCESS_LIMITS_H_

#include <string>
#include <vector>

namespace memfuse::cli {

// Lifts the resource limits. Must be called before there is a second thread. Returns one sentence
// for each limit that stays and can end the daemon.
std::vector<std::string> RaiseResourceLimits();

// Sets the mask and the dispositions of signals, timer slack and the stack size of later threads.
// `background`: also nice and the scheduling policy, as far as the process may. Must be called
// before there is a second thread.
void ResetInheritedState(bool background);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_PROCESS_LIMITS_H_
