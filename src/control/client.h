// A client of the control socket.

#ifndef MEMFUSE_SRC_CONTROL_CLIENT_H_
#define MEMFUSE_SRC_CONTROL_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "src/control/http.h"

namespace memfuse::control {

// Sends a request to the socket at `path` and waits for the answer, at most `timeout`. Returns
// PermissionDenied, Unavailable (no daemon answers, or the answer is no HTTP).
absl::StatusOr<HttpResponse> Call(const std::string& path, const HttpRequest& request,
                                  absl::Duration timeout = absl::Seconds(30));

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_CLIENT_H_
