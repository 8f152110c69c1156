// The completion files of bash and zsh for the command line, made from the table of flags.

#ifndef MEMFUSE_SRC_CLI_COMPLETION_H_
#define MEMFUSE_SRC_CLI_COMPLETION_H_

#include <string>

namespace memfuse::cli {

// A file for /usr/share/bash-completion/completions. Does not need the package bash-completion.
std::string BashCompletion();

// A file for a directory of zsh's fpath. Its name must be _memfuse.
std::string ZshCompletion();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_COMPLETION_H_
