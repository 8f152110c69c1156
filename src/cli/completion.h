// What bash and zsh read to complete the command line, made from the table of flags.

#ifndef MEMFUSE_SRC_CLI_COMPLETION_H_
#define MEMFUSE_SRC_CLI_COMPLETION_H_

#include <string>

namespace memfuse::cli {

// A file for /usr/share/bash-completion/completions. Needs nothing of bash-completion itself.
std::string BashCompletion();

// A file for a directory of zsh's fpath, to be called _memfuse.
std::string ZshCompletion();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_COMPLETION_H_
