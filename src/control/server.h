// A server for HTTP on a Unix socket or a TCP port (Boost.Beast). A connection carries one request.
//
// One thread of low priority serves all connections; it never waits for a single client. Bounds: 64
// connections, of which other users than the administrators have 48 together and 8 each; 8 KiB of
// header and 64 KiB of body for each; 10 seconds for a request. A connection above these bounds is
// closed; a body above its bound is answered with status 413. The clients of a TCP port have no
// identity, and share the 48 connections of other users.
//
// Answers that take long are computed on two further threads, one for walks and one for summaries
// (long_answers.h), and cancelled when their client has closed its connection. A question beyond
// the bounds there is answered with status 503.

#ifndef MEMFUSE_SRC_CONTROL_SERVER_H_
#define MEMFUSE_SRC_CONTROL_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "src/control/http.h"
#include "src/control/listener.h"

namespace memfuse::control {

class Server {
 public:
  // Answers one request. It is called from the server's thread, for one request at a time. An
  // exception becomes the status 500. A LongAnswer that it returns is destroyed before it.
  using Handler = absl::AnyInvocable<control::Answer(const HttpRequest&)>;

  // Starts the thread, whose name has at most 15 bytes. `administrator` is the user that has as
  // many connections as user 0. Errors: ResourceExhausted. Throws std::bad_alloc.
  static absl::StatusOr<std::unique_ptr<Server>> Start(std::unique_ptr<Listener> listener,
                                                       const std::string& thread_name,
                                                       uid_t administrator, Handler handler);

  // Ends all connections, waits for the thread, and ends the listener.
  virtual ~Server() = default;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_SERVER_H_
