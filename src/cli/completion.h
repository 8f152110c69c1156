// The completion files of bash and zsh, made from the tables of flags and commands.

#ifndef MEMFUSE_SRC_CLI_COMPLETION_H_
#define MEMFUSE_SRC_CLI_COMPLETION_H_

#include <string>

namespace memfuse::cli {

// A file for /usr/share/bash-completion/completions. Does not need the package bash-completion.
std::string BashCompletion();

// A file for a directory of zsh's fpath. Its name must be _memfuse.
std::string ZshCompletion();

// The same for memfusectl. The name of zsh's file must be _memfusectl. Mount points are those of
// memfuse in /proc/self/mounts; no file system is asked for them.
std::string BashControlCompletion();
std::string ZshControlCompletion();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_COMPLETION_H_
