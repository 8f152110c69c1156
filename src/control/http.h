// A request to the control socket, and its answer.

#ifndef MEMFUSE_SRC_CONTROL_HTTP_H_
#define MEMFUSE_SRC_CONTROL_HTTP_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace memfuse::control {

// The process that made the connection, from the kernel (SO_PEERCRED): the IDs that it had then, in
// the user namespace of the daemon.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

struct HttpRequest {
  std::string method;  // "GET", "PUT", ...
  std::string path;    // without the query, such as "/v1/status"
  std::string body;
  Peer peer;
};

struct HttpResponse {
  int status = 200;  // RFC 9110
  std::string body;  // JSON
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_HTTP_H_
