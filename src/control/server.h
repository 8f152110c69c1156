// A server for HTTP on a Unix socket (Boost.Beast). A connection carries one request.
//
// One thread of low priority serves all connections; it never waits for a single client. Bounds: 64
// connections, of which other users than the administrators have 48 together and 8 each; 8 KiB of
// header and 64 KiB of body for each; 10 seconds for a request. A connection above these bounds is
// closed; a body above its bound is answered with status 413.
//
// Answers that take long are computed on a second thread (long_answers.h), and cancelled when their
// client has closed its connection. A question beyond the bounds there is answered with status 503.

#ifndef MEMFUSE_SRC_CONTROL_SERVER_H_
#define MEMFUSE_SRC_CONTROL_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "src/control/http.h"

namespace memfuse::control {

class Server {
 public:
  // Answers one request. It is called from the server's thread, for one request at a time. An
  // exception becomes the status 500. A LongAnswer that it returns is destroyed before it.
  using Handler = absl::AnyInvocable<control::Answer(const HttpRequest&)>;

  // Makes a socket at `path`, which every user may connect to, and starts the thread. The directory
  // is made if it does not exist (mode 0755); a socket that another server has left there is
  // replaced. `administrator` is the user that has as many connections as user 0. Returns
  // FailedPrecondition (the socket cannot be made) or ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const std::string& path, uid_t administrator,
                                                       Handler handler);

  // Ends all connections, waits for the thread, and removes the socket, and its directory if that
  // is empty.
  virtual ~Server() = default;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_SERVER_H_
