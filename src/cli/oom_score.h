// The process that the kernel kills when memory is short (proc(5), oom_score_adj).
//
// The kernel kills the process that uses the most memory. The files of other processes are in the
// memory of the daemon and are lost with it. So the daemon is made the last choice, unless the
// administrator has set another score.

#ifndef MEMFUSE_SRC_CLI_OOM_SCORE_H_
#define MEMFUSE_SRC_CLI_OOM_SCORE_H_

#include <string>

namespace memfuse::cli {

// Lowers the score of this process to -900, or as far as permitted: without CAP_SYS_RESOURCE the
// limit is the lowest value that a privileged process has set before. Never to -1000: a process
// that cannot be killed can stop the machine, or its control group, permanently.
//
// An administrator chose a negative value, and it stays. A positive value comes from the session in
// which the command was given, and is replaced for a daemon in the background. In the foreground it
// may come from the service manager (OOMScoreAdjust=), and stays.
//
// `directory` is /proc/self except in tests.
void LowerOomScore(bool background, const std::string& directory = "/proc/self");

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_OOM_SCORE_H_
