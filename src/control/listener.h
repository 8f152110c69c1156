// A socket that listens for clients of an HTTP server.

#ifndef MEMFUSE_SRC_CONTROL_LISTENER_H_
#define MEMFUSE_SRC_CONTROL_LISTENER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace memfuse::control {

class Listener {
 public:
  // Makes a Unix socket at `path`, which every user may connect to. The directory is made if it
  // does not exist (mode 0755); a socket that another server has left there is replaced. Errors:
  // FailedPrecondition, with a sentence.
  static absl::StatusOr<std::unique_ptr<Listener>> OnPath(const std::string& path);

  // Listens on a TCP port of one address, IPv4 ("127.0.0.1") or IPv6 ("::1", without brackets).
  // Errors: FailedPrecondition, with a sentence (the address is in use, is not one of this machine,
  // or is not permitted).
  static absl::StatusOr<std::unique_ptr<Listener>> OnPort(const std::string& address,
                                                          uint16_t port);

  // Closes the socket. Removes a Unix socket, and its directory if that is empty.
  virtual ~Listener() = default;

  // The listening socket; the listener owns it.
  virtual int descriptor() const = 0;
  // AF_UNIX, AF_INET or AF_INET6.
  virtual int family() const = 0;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_LISTENER_H_
