// fusermount3: the setuid program that mounts and unmounts for those who may not.

#ifndef MEMFUSE_SRC_TRANSPORT_HELPER_H_
#define MEMFUSE_SRC_TRANSPORT_HELPER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "src/base/unique_fd.h"

namespace memfuse::transport {

struct HelperResult {
  bool succeeded = false;
  std::string error_text;     // what it wrote on stderr, in one line
  base::UniqueFd descriptor;  // what it sent over _FUSE_COMMFD, if anything; close-on-exec
};

// Runs it with `arguments`, waits until it has ended, and reaps it. FailedPrecondition: it is not
// installed. DeadlineExceeded: it hung, and was killed. Internal.
absl::StatusOr<HelperResult> RunHelper(const std::vector<std::string>& arguments);

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_HELPER_H_
