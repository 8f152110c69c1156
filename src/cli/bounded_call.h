// Calls that may hang on a mount whose daemon does not answer.
//
// A thread that waits for the answer of a FUSE daemon ends with no signal, not even SIGKILL, and a
// process does not end before its last thread. So such a call is made in a child process, which is
// left behind if it does not end in time.

#ifndef MEMFUSE_SRC_CLI_BOUNDED_CALL_H_
#define MEMFUSE_SRC_CLI_BOUNDED_CALL_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace memfuse::cli {

// Calls each function in a child process of its own, and returns their results in the same order.
// At most 16 calls are in progress at a time; the next one begins when one of them ends. `timeout`
// bounds each call from its own begin; n calls together take at most n / 16, rounded up, times as
// long. No value: the function did not return within `timeout`; the child got SIGKILL and ends as
// soon as it can. An empty string: the function returned it or threw an exception, or there is no
// memory, no process or no descriptor for a child.
//
// The children have no open descriptor of the caller: a child that hangs keeps no pipe open. Must
// be called from the only thread of a process. Results above 1 MiB are cut off.
std::vector<std::optional<std::string>> CallInChildren(
    const std::vector<std::function<std::string()>>& functions, absl::Duration timeout);

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_BOUNDED_CALL_H_
