// Whom the kernel kills when memory is short (proc(5), oom_score_adj).
//
// The kernel takes the process that uses the most memory. What a full file system keeps is the
// memory of others, and goes with the process; so the daemon is to be the last choice, as long as
// nobody has said otherwise.

#ifndef MEMFUSE_SRC_CLI_OOM_SCORE_H_
#define MEMFUSE_SRC_CLI_OOM_SCORE_H_

#include <string>

namespace memfuse::cli {

// Lowers the score of this process to -900, or as far as it may: without CAP_SYS_RESOURCE that is
// the lowest value that a privileged process has set before. Never to -1000: a process that cannot
// be killed can stop the machine, or its control group, for good.
//
// A negative value was chosen by an administrator and stays. A positive one is the session's in
// which the command was given, and does not count for a daemon; in the foreground it may be the
// service manager's (OOMScoreAdjust=), and stays.
//
// `directory` is /proc/self but for tests.
void LowerOomScore(bool background, const std::string& directory = "/proc/self");

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_OOM_SCORE_H_
