// A client of the control socket.

#ifndef MEMFUSE_SRC_CONTROL_CLIENT_H_
#define MEMFUSE_SRC_CONTROL_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "src/control/http.h"

namespace memfuse::control {

// Sends a request to the socket at `path` and waits for the answer, at most 30 seconds. Returns
// PermissionDenied, Unavailable (no daemon answers), or Internal (the answer is no HTTP).
absl::StatusOr<HttpResponse> Call(const std::string& path, const HttpRequest& request);

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_CLIENT_H_
